"""The model bundle: what is registered and deployed. A folder of JSON and safetensors; nothing in it can run.

spec.json            format, name, architecture, columns, calendar, provenance
weights.safetensors  network and linear road
scaler.json          z statistics, transforms and plausible limits, by series
statics.json         static covariates: how they become numbers, and their values by series
calibration.json     where the quantiles of a forecast lie, by step and column
scorecard.json       the backtest it was judged by
streaming.json       what being carried does to its errors, and how long a history changes them
memory.json          how far back it looks, and what its gates do
card.json            for people: data, period, scores, limits
golden.json          windows with the forecasts they gave when the bundle was written
manifest.json        sha256 of every other file

Statics, calibration, scorecard, streaming, memory, golden windows and card may be absent from the manifest: then they
are not known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from forecasting.agreement import (
    calibration_widths,
    memory_widths,
    refuse_misfits,
    scaler_widths,
    spec_widths,
    statics_widths,
    streaming_widths,
)
from forecasting.calendar import Calendar
from forecasting.card import Card
from forecasting.cells import SYSTEMS
from forecasting.columns import Columns
from forecasting.conformal import Calibration
from forecasting.errors import CorruptBundle, IncompatibleBundle
from forecasting.members import Architecture
from forecasting.network import Forecaster
from forecasting.remembering import Memory
from forecasting.scaled import Scales
from forecasting.scaling import Scaler
from forecasting.scores import Scorecard
from forecasting.sealed import read_sealed, write_sealed
from forecasting.statics import Statics
from forecasting.steadiness import Streaming

FORMAT = 2
REQUIRED = frozenset({"spec.json", "weights.safetensors", "scaler.json"})
T = TypeVar("T")


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model comes from; times in RFC 3339, UTC. None is unknown."""

    data_hash: str | None = None
    git_commit: str | None = None
    trained_at: str | None = None
    train_end: str | None = None
    seen_end: str | None = None
    versions: dict[str, str] = {}


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """The contract of a model. `lookback` is the window, in rows, that its short memory is trained on."""

    format: int
    name: str
    architecture: Architecture
    columns: Columns
    calendar: Calendar
    lookback: int
    missing: bool
    panel: bool
    units: dict[str, str] = {}
    provenance: Provenance = Provenance()

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns that are forecast."""
        return self.columns.targets

    @property
    def horizon(self) -> int:
        """Steps ahead."""
        return self.architecture.horizon


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """A window in the units of the data (None is missing) and the forecast it gave, in z units.

    `values` are rows of targets, past and known covariates; `ahead` the known covariates of the steps after them.
    """

    series: str
    values: tuple[tuple[float | None, ...], ...]
    ahead: tuple[tuple[float | None, ...], ...]
    times: tuple[int, ...]
    point: tuple[tuple[float, ...], ...]
    median: tuple[tuple[float, ...], ...]
    scale: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Bundle:
    """A forecaster in evaluation mode with all that is needed to use and judge it."""

    spec: Spec
    forecaster: Forecaster
    scaler: Scaler
    statics: Statics = field(default_factory=Statics)
    calibration: Calibration | None = None
    scorecard: Scorecard | None = None
    streaming: Streaming | None = None
    memory: Memory | None = None
    golden: tuple[Golden, ...] = ()
    card: Card | None = None

    @property
    def scales(self) -> Scales:
        """What makes numbers of rows."""
        return Scales(self.scaler, self.statics, self.spec.calendar)


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a bundle into a new or empty folder; the manifest comes last, so that half a bundle has none."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous().cpu() for name, tensor in bundle.forecaster.state_dict().items()}
    files = {
        "spec.json": _json(bundle.spec),
        "weights.safetensors": save_tensors(weights),
        "scaler.json": _json(bundle.scaler),
        "statics.json": _json(bundle.statics),
        "calibration.json": _json(bundle.calibration),
        "scorecard.json": _json(bundle.scorecard),
        "streaming.json": _json(bundle.streaming),
        "memory.json": _json(bundle.memory),
        "golden.json": _json(bundle.golden),
        "card.json": _json(bundle.card),
    }
    write_sealed(files, folder)


def load_bundle(folder: Path, device: str = "cpu") -> Bundle:
    """Open a bundle after every file has proved to be the one that was written.

    Raises:
        AlteredBundle: a file has another digest than the manifest says.
        CorruptBundle: a file is missing, not in the manifest, or neither JSON nor safetensors; a weight does not fit,
            or is no finite number; or the parts are of different models.
        IncompatibleBundle: the format is another one, or the cell.
    """
    files = read_sealed(folder, REQUIRED)
    _refuse_other_format(files["spec.json"])
    spec: Spec = _parse(files["spec.json"], Spec, "spec.json")
    bundle = Bundle(
        spec=spec,
        forecaster=_forecaster(spec.architecture, files["weights.safetensors"]).to(device),
        scaler=_parse(files["scaler.json"], Scaler, "scaler.json"),
        statics=_optional(files, "statics.json", Statics, Statics()),
        calibration=_optional(files, "calibration.json", Calibration | None),
        scorecard=_optional(files, "scorecard.json", Scorecard | None),
        streaming=_optional(files, "streaming.json", Streaming | None),
        memory=_optional(files, "memory.json", Memory | None),
        golden=_optional(files, "golden.json", tuple[Golden, ...], ()),
        card=_optional(files, "card.json", Card | None),
    )
    _refuse_misfits(bundle)
    return bundle


def _refuse_misfits(bundle: Bundle) -> None:
    """Hold every part against the architecture, which the weights fit, and against the columns."""
    architecture, columns = bundle.spec.architecture, bundle.spec.columns
    refuse_misfits(
        chain(
            spec_widths(architecture, columns, bundle.spec.calendar),
            scaler_widths(bundle.scaler, columns),
            statics_widths(bundle.statics, architecture, columns),
            calibration_widths(bundle.calibration, architecture) if bundle.calibration else (),
            streaming_widths(bundle.streaming, bundle.spec.lookback) if bundle.streaming else (),
            memory_widths(bundle.memory, architecture) if bundle.memory else (),
        )
    )


def _forecaster(architecture: Architecture, weights: bytes) -> Forecaster:
    if architecture.cell not in SYSTEMS:
        message = f"the bundle has the cell {architecture.cell!r}; this version reads {', '.join(SYSTEMS)}: upgrade"
        raise IncompatibleBundle(message)
    try:
        forecaster = Forecaster(architecture)
        forecaster.load_state_dict(load_tensors(weights))
    except (RuntimeError, ValueError, SafetensorError) as error:
        message = f"weights.safetensors does not fit the architecture of spec.json: {error}"
        raise CorruptBundle(message) from error
    for name, weight in forecaster.state_dict().items():
        if not weight.isfinite().all():
            message = f"{name} in weights.safetensors holds what is not a finite number; train the model again"
            raise CorruptBundle(message)
    return forecaster.eval().requires_grad_(False)


def _refuse_other_format(content: bytes) -> None:
    found: dict[str, Any] = _parse(content, dict[str, Any], "spec.json")
    if found.get("format") != FORMAT:
        came = found.get("format")
        message = f"the bundle has format {came}; this version reads format {FORMAT}: train it again or upgrade"
        raise IncompatibleBundle(message)


def _parse(content: bytes, kind: type[T] | Any, name: str) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"{name} of the bundle cannot be read: {error}"
        raise CorruptBundle(message) from error


def _optional(files: dict[str, bytes], name: str, kind: Any, unknown: Any = None) -> Any:
    """Return a block that a bundle need not have, or what stands for its being unknown."""
    return _parse(files[name], kind, name) if name in files else unknown


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1)
