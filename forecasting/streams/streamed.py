"""A model as streams use it: its bundle with the engine that steps it, what tracks its forecasts, and its scales."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
from jaxtyping import Float, Int

from forecasting.bundle import Bundle, Spec
from forecasting.cells import SYSTEMS
from forecasting.columns import Columns
from forecasting.engines import StepEngine, steps_for
from forecasting.log.records import Version
from forecasting.scaling import Units
from forecasting.sealed import digest
from forecasting.statics import Coded, StaticValue
from forecasting.streams.tracking import Tracking

Places = Int[np.ndarray, " stream"]
"""Which scale is each stream's; 0 is that of all series together."""


EDGES = tuple(Units._fields.index(part) for part in ("mean", "std", "lower", "upper"))


def contract_of(columns: Columns, freq: str, timezone: str) -> str:
    """Return the digest of what a row of a stream is."""
    rows = (columns.targets, columns.past, columns.known, freq, timezone)
    return digest(msgspec.json.encode(rows))[:16]


@dataclass(frozen=True, eq=False)
class Streamed:
    """A version of a model, open and ready to be stepped."""

    version: Version
    bundle: Bundle

    @property
    def spec(self) -> Spec:
        """The contract of the model."""
        return self.bundle.spec

    @cached_property
    def targets(self) -> int:
        """How many targets it has."""
        return len(self.spec.targets)

    @cached_property
    def engine(self) -> StepEngine:
        """What computes a step."""
        return steps_for(self.bundle.forecaster)

    @cached_property
    def tracking(self) -> Tracking:
        """What scores its forecasts and keeps their intervals."""
        return Tracking(self.bundle.calibration, self.spec.horizon, len(self.spec.targets))

    @cached_property
    def scales(self) -> SeriesScales:
        """The scales of its series."""
        return SeriesScales(self.bundle)

    @cached_property
    def shift(self) -> Float[np.ndarray, "horizon target"]:
        """What is added to a point before a logarithm is undone."""
        calibration = self.bundle.calibration
        shape = (self.spec.horizon, len(self.spec.targets))
        return np.zeros(shape, np.float32) if calibration is None else calibration.shift

    @cached_property
    def contract(self) -> str:
        """Digest of what a row of a stream is; a version with another one cannot go on with its log."""
        return contract_of(self.spec.columns, self.spec.calendar.freq, self.spec.calendar.timezone)

    def series_of(self, stream: str, given: str | None) -> str | None:
        """Return which series a new stream is: the one given, else the one that has its name, else none."""
        if given is not None or not self.spec.panel:
            return given
        return stream if self.bundle.scaler.knows(stream) else None

    def encoded(self, series: str | None, static: str) -> Coded:
        """Return the static covariates of a stream, which are kept as JSON, as a network takes them."""
        values = msgspec.json.decode(static, type=dict[str, StaticValue])
        return self.bundle.statics.encode(series, values)

    @cached_property
    def endless(self) -> bool:
        """Whether its state grows with every row, by what the cell is or by what was measured."""
        streaming = self.bundle.streaming
        return not SYSTEMS[self.spec.architecture.cell].bounded or bool(streaming and streaming.grows)

    @cached_property
    def resync(self) -> tuple[int, int] | None:
        """Return (every, rows) where its states are unrolled anew every so many rows, from so many rows back."""
        streaming = self.bundle.streaming
        if streaming is None or streaming.safe:
            return None
        return streaming.resync_every, streaming.resync_rows


class SeriesScales:
    """The units of all series of a bundle as arrays, so that rows of many streams are scaled together.

    `plain` says that no column has a transform or a bound.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Stack them, the one of all series together first."""
        scaler, self._targets = bundle.scaler, len(bundle.spec.targets)
        ids = list(scaler.series)
        self._places = {series: place for place, series in enumerate(ids, 1)}
        self._each = [scaler.units(None), *(scaler.units(series) for series in ids)]
        self._each_target = [_with_axis(one.first(self._targets)) for one in self._each]
        self.plain = self._each[0].plain
        self._all = [np.stack([one[part] for one in self._each]) for part in range(len(Units._fields) - 1)]
        self._edges = [tuple(np.atleast_2d(one[part]) for part in EDGES) for one in self._each]
        self._all_target = [part[:, : self._targets] for part in self._all]

    def place(self, series: str | None) -> int:
        """Return where the scale of a series is."""
        return self._places.get(series or "", 0)

    def of(self, places: Places) -> Units:
        """Return the units of some streams; where they are the same for all, without an axis of streams."""
        return self._some(places, self._each, self._all)

    def edges(self, places: Places) -> tuple[np.ndarray, ...]:
        """Return mean, std, lower and upper limits of some streams, each with an axis of streams, which may be 1."""
        first = int(places[0])
        if len(self._each) == 1 or len(places) == 1 or (places == first).all():
            return self._edges[first]
        return tuple(self._all[part][places] for part in EDGES)

    def of_targets(self, places: Places) -> Units:
        """Return the same for the targets alone."""
        return self._some(places, self._each_target, self._all_target)

    def _some(self, places: Places, each: list[Units], stacked: list[np.ndarray]) -> Units:
        first = int(places[0])
        if len(each) == 1 or len(places) == 1 or (places == first).all():
            return each[first]
        return Units._make([*(part[places] for part in stacked), each[0].plain])


def _with_axis(units: Units) -> Units:
    """Return units with an axis of streams, of length 1."""
    return Units._make([*(np.ascontiguousarray(part[None]) for part in units[:-1]), units.plain])
