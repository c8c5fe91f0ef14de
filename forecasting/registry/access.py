"""Reaching the store: mlflow's settings, addresses without passwords, and its errors in our words."""

from __future__ import annotations

import errno
import logging
import re
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import sqlalchemy
from mlflow import MlflowClient
from mlflow import environment_variables as env
from mlflow.exceptions import MlflowException
from mlflow.telemetry import set_telemetry_client
from sqlalchemy.exc import SQLAlchemyError

from forecasting.errors import NoSuchModel, RegistryError, RegistryUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_SECONDS = 5
LONGEST_CAUSE = 300
HTTP = ("http://", "https://")

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""A disk on which there is no room, or not for such a file: no matter of the registry."""

ABSENT = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}
REFUSED = {"INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "PERMISSION_DENIED", "UNAUTHENTICATED", "BAD_REQUEST"}


def connect(uri: str) -> MlflowClient:
    """Open the store: at once for a server, which is asked later; with the tables made for an empty database.

    Raises:
        RegistryUnavailable: it cannot be opened.
    """
    _settle()
    try:
        _probe(uri)
        return MlflowClient(uri, uri)
    except Exception as error:  # SQLAlchemy, alembic, drivers and mlflow share no base class
        raise _unavailable(error, uri) from error


@contextmanager
def reaching(uri: str) -> Iterator[None]:
    """Translate what mlflow, its database or its network raises inside.

    Raises:
        NoSuchModel: the store answered that there is no such thing.
        RegistryError: the store answered and refused.
        OSError: a disk is full.
        RegistryUnavailable: anything else.
    """
    try:
        yield
    except MlflowException as error:
        raise _translated(error, uri) from error
    except (SQLAlchemyError, OSError) as error:  # the errors of requests are OSErrors
        if getattr(error, "errno", None) in FULL:
            raise
        raise _unavailable(error, uri) from error


def without_password(text: str) -> str:
    """Return an address, or a text with addresses in it, with every password as `***`."""
    text = re.sub(r"(\w://[^\s/:@]*):[^\s/]*@", r"\1:***@", text)
    return re.sub(r"([?&]password=)[^\s&]*", r"\1***", text)


@cache
def _settle() -> None:
    """Once per process: fail in seconds, stay quiet, send nothing home. What the operator has set, stays."""
    ours = {
        env.MLFLOW_DISABLE_TELEMETRY: "true",
        env.MLFLOW_HTTP_REQUEST_MAX_RETRIES: "1",
        env.MLFLOW_HTTP_REQUEST_TIMEOUT: "10",
        env.MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR: "false",
        env.MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT: "true",
        env.MLFLOW_UV_AUTO_DETECT: "false",  # it would put the lock file of the working directory into every model
    }
    for variable, value in ours.items():
        if not variable.is_set():
            variable.set(value)
    set_telemetry_client()
    if not env.MLFLOW_LOGGING_LEVEL.is_set():
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)


def _probe(uri: str) -> None:
    """Open a database once before mlflow does, which would retry a hopeless one for minutes."""
    if uri.startswith(HTTP):
        return
    arguments = {"connect_timeout": CONNECT_SECONDS} if uri.startswith("postgresql") else {}
    engine = sqlalchemy.create_engine(uri, connect_args=arguments)
    try:
        sqlalchemy.inspect(engine).get_table_names()
    finally:
        engine.dispose()


def _translated(error: MlflowException, uri: str) -> RegistryError:
    if error.error_code in ABSENT:
        return NoSuchModel(_first_line(error))
    if error.error_code in REFUSED:
        return RegistryError(f"the model registry at {without_password(uri)} refused: {_first_line(error)}")
    return _unavailable(error, uri)


def _unavailable(error: Exception, uri: str) -> RegistryUnavailable:
    cause: BaseException = error
    while deeper := cause.__cause__ or cause.__context__:
        cause = deeper
    advice = (
        "the address and that its server runs"
        if uri.startswith(HTTP)
        else "that its file or database can be opened and written"
    )
    address = without_password(uri)
    return RegistryUnavailable(f"the model registry at {address} cannot be used: {_first_line(cause)}; check {advice}")


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return without_password(text.splitlines()[0])[:LONGEST_CAUSE]
