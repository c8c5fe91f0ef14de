"""One run: what was trained on what, how it went, and the model that came of it."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModel, LoggedModelOutput, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.utils.time import get_current_time_millis

from forecasting.bundle import Spec, load_bundle
from forecasting.errors import RegistryError
from forecasting.registry.access import reaching
from forecasting.registry.artifact import gatecast_version, write_artifact
from forecasting.registry.version import ModelVersion, version_from
from forecasting.series import Panel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matplotlib.figure import Figure
    from mlflow import MlflowClient

SAMPLE_SECONDS = 1
PARAMS_A_BATCH = 100
METRICS_A_BATCH = 1000
ERROR_CHARACTERS = 2000
DIGEST_CHARACTERS = 36  # the width of mlflow's column; the profile has the whole digest


@dataclass(frozen=True)
class Run:
    """A run that is being recorded. Every method may raise RegistryError."""

    id: str
    experiment_id: str
    uri: str
    client: MlflowClient

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record parameters; a table in a table becomes dotted names, a list JSON."""
        flat = [Param(_key(key), value) for key, value in _flat(params)]
        for start in range(0, len(flat), PARAMS_A_BATCH):
            with reaching(self.uri):
                self.client.log_batch(self.id, params=flat[start : start + PARAMS_A_BATCH])

    def log_metrics(self, metrics: Mapping[str, float | None], step: int = 0) -> None:
        """Record numbers, such as scores; None is left out."""
        now = get_current_time_millis()
        found = [Metric(_key(key), value, now, step) for key, value in metrics.items() if value is not None]
        for start in range(0, len(found), METRICS_A_BATCH):
            with reaching(self.uri):
                self.client.log_batch(self.id, metrics=found[start : start + METRICS_A_BATCH])

    def log_curve(self, step: int, metrics: Mapping[str, float | None]) -> None:
        """Record one point of each curve, such as the losses of an epoch."""
        self.log_metrics(metrics, step)

    def log_json(self, name: str, value: Any) -> None:
        """Keep a value, or bytes that are JSON already, as a file of the run."""
        content = value if isinstance(value, bytes) else msgspec.json.format(msgspec.json.encode(value), indent=2)
        self.log_text(name, content.decode())

    def log_text(self, name: str, text: str) -> None:
        """Keep a text as a file of the run."""
        with reaching(self.uri):
            self.client.log_text(self.id, text, name)

    def describe(self, text: str) -> None:
        """Set the description that MLflow's page of the run begins with, in Markdown."""
        with reaching(self.uri):
            self.client.set_tag(self.id, "mlflow.note.content", text)

    def log_figure(self, name: str, figure: Figure) -> None:
        """Keep a picture; the ending of `name` says in which format."""
        with reaching(self.uri):
            self.client.log_figure(self.id, figure, name)

    def log_dataset(self, panel: Panel, source: str, digest: str, context: str) -> None:
        """Record which rows were used for what (`context`, such as "training"), without copying any.

        `digest` is the sha256 of the source in hexadecimal; the profile has it whole, beside rows and time span.
        """
        dataset = Dataset(
            name=Path(source).name,
            digest=digest[:DIGEST_CHARACTERS],
            source_type="local",
            source=_json({"uri": source}),
            schema=_json({"mlflow_colspec": [{"type": "float", "name": one} for one in panel.columns.row]}),
            profile=_json(_profile(panel, digest)),
        )
        with reaching(self.uri):
            self.client.log_inputs(self.id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])

    @contextmanager
    def child(self, name: str) -> Iterator[Run]:
        """Record a part of this run as a run below it, which ends as its block does; this one samples the machine."""
        with reaching(self.uri):
            run = start_run(self.client, self.uri, self.experiment_id, name, {"mlflow.parentRunId": self.id})
        with ended(run):
            yield run

    def register(self, folder: Path, example: pd.DataFrame, card: str = "") -> ModelVersion:
        """Register a bundle, under the name in its spec, as a model that mlflow itself can load.

        `example` is a window as the model takes it (see `pyfunc`), `card` a text for people.

        Raises:
            CorruptBundle: the bundle is not whole; nothing was registered.
        """
        spec = load_bundle(folder).spec
        with reaching(self.uri):
            logged = self._log_model(folder, spec, example)
            with suppress(MlflowException):  # it is there already; where it is not, the next call says why
                self.client.create_registered_model(spec.name)
            version = self.client.create_model_version(
                name=spec.name,
                source=logged.artifact_location,
                run_id=self.id,
                tags=_provenance(spec),
                description=card or None,
                model_id=logged.model_id,
            )
        return version_from(version)

    def _log_model(self, folder: Path, spec: Spec, example: pd.DataFrame) -> LoggedModel:
        logged = self.client.create_logged_model(self.experiment_id, spec.name, self.id, model_type="forecaster")
        number, place = logged.model_id, logged.artifact_location
        model = Model(artifact_path=place, run_id=self.id, model_uuid=number, model_id=number)
        with TemporaryDirectory() as scratch:
            artifact = Path(scratch) / "model"
            write_artifact(artifact, folder, spec, example, model)
            self.client.log_model_artifacts(number, str(artifact))
        self.client.finalize_logged_model(number, "READY")
        self.client.log_outputs(self.id, [LoggedModelOutput(number, step=0)])
        return logged


def start_run(client: MlflowClient, uri: str, experiment_id: str, name: str | None, tags: Mapping[str, str]) -> Run:
    """Create a run, RUNNING from now on; see `recorded`."""
    ours = {"gatecast.version": gatecast_version() or "checkout", "mlflow.source.name": "gatecast train"}
    found = client.create_run(experiment_id, run_name=name, tags={**ours, **tags})
    return Run(found.info.run_id, experiment_id, uri, client)


def find_run(client: MlflowClient, uri: str, experiment_id: str, tags: Mapping[str, str]) -> Run | None:
    """Return the newest run that has these tags, RUNNING again; None where there is none, or it was deleted."""
    wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    found = client.search_runs([experiment_id], wanted, max_results=1, order_by=["attributes.start_time DESC"])
    if not found:
        return None
    number, known = found[0].info.run_id, found[0].data.tags
    client.update_run(number, status="RUNNING")
    if "error" in known:
        client.delete_tag(number, "error")
    return Run(number, experiment_id, uri, client)


@contextmanager
def recorded(run: Run) -> Iterator[Run]:
    """End the run as the block ends, and sample the machine while it runs."""
    with ended(run), _sampled(run):
        yield run


@contextmanager
def ended(run: Run) -> Iterator[Run]:
    """End the run as the block ends."""
    try:
        yield run
    except BaseException as error:
        with suppress(RegistryError):  # the error of the block is the one to tell
            _end(run, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED", error)
        raise
    _end(run, "FINISHED")


@contextmanager
def _sampled(run: Run) -> Iterator[None]:
    monitor = SystemMetricsMonitor(run.id, sampling_interval=SAMPLE_SECONDS, resume_logging=True, tracking_uri=run.uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def _end(run: Run, status: str, error: BaseException | None = None) -> None:
    with reaching(run.uri):
        if error is not None:
            run.client.set_tag(run.id, "error", f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS])
        run.client.set_terminated(run.id, status)


def _provenance(spec: Spec) -> dict[str, str]:
    found = msgspec.to_builtins(spec.provenance)
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _profile(panel: Panel, digest: str) -> dict[str, Any]:
    grid = panel.grid()
    return {
        "num_rows": panel.rows,
        "num_series": len(panel),
        "freq": panel.freq,
        "start": grid[0].isoformat(),
        "end": grid[-1].isoformat(),
        "sha256": digest,
    }


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else _json(value)


def _key(name: str) -> str:
    """Keep to the characters that mlflow takes; a column may be called `temp (°C)`."""
    return re.sub(r"[^\w\-. /:]", "_", name)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
