# One image for the service, the scheduler and MLflow; docker-compose.yml says what each of them runs.
#
#   docker build -t gatecast .                                                   # for a CPU
#   docker build -t gatecast:gpu --build-arg TORCH_INDEX=https://pypi.org/simple .  # torch's CUDA build, 4 GB more
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/gatecast
ENV PATH=/opt/gatecast/bin:$PATH
WORKDIR /src
# What changes seldom comes first: torch, then all it takes to run, then our own code, so that a change of the code builds in
# seconds. The versions are the tested ones of constraints.txt.
COPY pyproject.toml constraints.txt ./
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps --index-url "${TORCH_INDEX}" "$(grep '^torch==' constraints.txt)"
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
more = project['optional-dependencies']; \
print(*project['dependencies'], *more['postgresql'], *more['tracing'], sep='\n')" > requirements.txt \
 && pip install --constraint constraints.txt --requirement requirements.txt
COPY README.md ./
COPY forecasting forecasting
COPY service service
COPY pipelines pipelines
RUN --mount=type=cache,target=/root/.cache/pip pip install --constraint constraints.txt --no-deps .

FROM ${PYTHON_IMAGE}
# Everything that is written lies in two places: /var/lib, where volumes are mounted, and /tmp. The rest may be read-only.
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/gatecast --create-home gatecast \
 && mkdir /var/lib/mlflow /projects \
 && chown gatecast:gatecast /var/lib/mlflow
COPY --from=build /opt/gatecast /opt/gatecast
ENV PATH=/opt/gatecast/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GATECAST_HOME=/var/lib/gatecast \
    NUMBA_CACHE_DIR=/var/lib/gatecast/numba \
    MPLCONFIGDIR=/tmp/matplotlib
USER 10001:10001
WORKDIR /var/lib/gatecast
EXPOSE 8000
CMD ["gatecast", "--help"]
