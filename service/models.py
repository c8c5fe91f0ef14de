"""The models that are served: where they come from, how they are opened, and which one a name means."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from forecasting.bundle import Bundle, Spec, load_bundle
from forecasting.engines import Engine, engine_for
from forecasting.errors import GatecastError, SettingsError
from forecasting.prediction import Window, forecast
from service.problems import NotReady, UnknownModel, row_for
from service.schemas import ModelIdentity
from service.settings import Settings

if TYPE_CHECKING:
    from forecasting.registry import ModelVersion, Registry

PRODUCTION = "production"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedRef:
    """A registered version that is to be served."""

    name: str
    version: str
    alias: str | None
    run_id: str


class ModelSource(Protocol):
    """Where models come from."""

    def production(self) -> list[ServedRef]:
        """Return every model that has the alias `production`."""

    def version(self, name: str, ref: str) -> ServedRef:
        """Return the version of a model that an alias or a version number means."""

    def fetch(self, ref: ServedRef, folder: Path) -> Path:
        """Bring the bundle of a version into the folder and return where it lies."""


class RegistrySource:
    """The model registry; mlflow is imported at the first call, which takes seconds."""

    def __init__(self, settings: Settings) -> None:
        """Remember where it is."""
        self._settings = settings

    def production(self) -> list[ServedRef]:
        """Return every model that has the alias `production`."""
        return [_ref(version, PRODUCTION) for version in self._registry.production()]

    def version(self, name: str, ref: str) -> ServedRef:
        """Return the version of a model that an alias or a version number means."""
        version = self._registry.version(name, ref)
        return _ref(version, ref if ref in version.aliases else None)

    def fetch(self, ref: ServedRef, folder: Path) -> Path:
        """Download the bundle of a version."""
        return self._registry.fetch(self._registry.version(ref.name, ref.version), folder)

    @cached_property
    def _registry(self) -> Registry:
        from forecasting.registry import Registry, embedded  # noqa: PLC0415 - see the class

        uri = self._settings.tracking_uri
        return Registry(uri) if uri else Registry(*embedded(self._settings.home))


def _ref(version: ModelVersion, alias: str | None) -> ServedRef:
    return ServedRef(version.name, version.version, alias, version.run_id)


@dataclass(frozen=True)
class ServedModel:
    """An open model and the version it is."""

    ref: ServedRef
    bundle: Bundle

    replaced: Spec | None = None

    @cached_property
    def engine(self) -> Engine:
        """What computes its forecasts."""
        return engine_for(self.bundle.forecaster)

    @property
    def on_cpu(self) -> bool:
        """Tell whether its weights are in ordinary memory."""
        return self.bundle.forecaster.spread.device.type == "cpu"

    @cached_property
    def identity(self) -> ModelIdentity:
        """What an answer says about the model that gave it."""
        ref, data_hash = self.ref, self.bundle.spec.provenance.data_hash
        return ModelIdentity(
            name=ref.name, version=ref.version, alias=ref.alias, run_id=ref.run_id, data_hash=data_hash
        )


@dataclass(frozen=True)
class Models:
    """Models by name, and by name the reasons why others are not served."""

    served: Mapping[str, ServedModel] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str, ref: str | None = None) -> ServedModel:
        """Return the model of that name.

        Raises:
            NotReady: it could not be loaded, or nothing could.
            UnknownModel: others are served, and none has that name.
        """
        if name in self.served:
            model = self.served[name]
            if ref in {None, model.ref.alias, model.ref.version}:
                return model
            message = f"no such version of {name} is loaded; loaded is {model.ref.alias or model.ref.version}"
            raise UnknownModel(message)
        if name in self.refused or not self.served:
            raise NotReady(self.reasons(name))
        near = difflib.get_close_matches(name[:128], self.served, n=1, cutoff=0.0)
        message = f"the nearest name that is served is {near[0]!r}; GET /v1/models lists them"
        raise UnknownModel(message)

    def reasons(self, name: str | None = None) -> str:
        """Say why the model of that name is not served, or why none is."""
        if name is not None and name in self.refused:
            return self.refused[name]
        said = "; ".join(f"{one}: {reason}" for one, reason in sorted(self.refused.items()))
        return said or "no registered model has the alias production"


def choose_device(wanted: str) -> str:
    """Return the torch device of a setting: for `auto` the GPU where there is one.

    Raises:
        SettingsError: the device is not there.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = wanted.partition(":")
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if int(number or 0) >= counts[kind]:
        message = f"GATECAST_DEVICE is {wanted}; this machine has {counts[kind]} of {kind}: use auto or cpu"
        raise SettingsError(message)
    return wanted


def load_models(source: ModelSource, settings: Settings, device: str) -> Models:
    """Open every model that is to be served; one that fails leaves its reason and does not stop the others."""
    served: dict[str, ServedModel] = {}
    refused: dict[str, str] = {}
    for ref in _find(source, settings, refused):
        with _noting(refused, ref.name):
            served[ref.name] = _open(source, ref, device)
    return Models(served, refused)


def _find(source: ModelSource, settings: Settings, refused: dict[str, str]) -> list[ServedRef]:
    found: list[ServedRef] = []
    if not settings.models:
        with _noting(refused, "registry"):
            found = source.production()
    for named in settings.models:
        name, _, ref = named.partition("@")
        with _noting(refused, name):
            found.append(source.version(name, ref or PRODUCTION))
    return found


@contextmanager
def _noting(refused: dict[str, str], name: str) -> Iterator[None]:
    """Log why something could not be loaded, and note of it what may be said to anyone."""
    try:
        yield
    except GatecastError as error:
        log.error("%s cannot be served: %s", name, error)  # noqa: TRY400 - its text is meant for people
        refused[name] = row_for(error).title
    except Exception:
        log.exception("%s cannot be served", name)
        refused[name] = "it could not be opened; the log of the service has the details"


def _open(source: ModelSource, ref: ServedRef, device: str) -> ServedModel:
    with TemporaryDirectory(prefix="gatecast-") as folder:
        bundle = load_bundle(source.fetch(ref, Path(folder)), device)
    _warm(bundle)
    log.info("serving %s version %s on %s", ref.name, ref.version, device)
    return ServedModel(ref, bundle)


def _warm(bundle: Bundle) -> None:
    """Forecast once, from a window of means: the first real request shall not pay for what is set up lazily."""
    spec, rows = bundle.spec, bundle.spec.lookback
    means = np.zeros((rows + spec.horizon, len(spec.columns.row)), dtype=np.float32)
    values = bundle.scaler.units(None).from_z(means)
    ahead = values[rows:, spec.columns.seen :] if spec.columns.known else None
    forecast(bundle, Window(values[:rows], np.arange(rows, dtype=np.int64) * spec.calendar.step, ahead=ahead))
