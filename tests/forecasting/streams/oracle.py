"""What a stream should say: its accepted rows played from the first one, cold, by the definitions and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from forecasting.engines import Steps, ZForecast
from forecasting.scaling import Units
from forecasting.streams.streamed import Streamed


@dataclass
class Told:
    """A forecast in the units of the data, with its median and scale in learned units."""

    point: np.ndarray
    median: np.ndarray
    ends: np.ndarray
    said: np.ndarray


@dataclass
class Row:
    """An accepted row; `version` issued the forecast at it, which `stands` after a correction.

    None issued one at a filler row, and at rows before the first push.
    """

    time: int
    values: np.ndarray
    version: str | None
    stands: Told | None = None
    earlier: tuple[np.ndarray, ...] = ()
    """The values it had before it was corrected."""
    history: bool = False
    """Imported before the first push."""


@dataclass
class Oracle:
    """A stream of series `series` under models by version; `origins` are where the unroll of each version begins."""

    models: dict[str, Streamed]
    series: str | None
    rows: list[Row] = field(default_factory=list)
    origins: dict[str, int] = field(default_factory=dict)

    @property
    def pushed(self) -> bool:
        """Tell whether a row was pushed, with a forecast."""
        return any(row.version is not None for row in self.rows)

    def told(self) -> list[Told | None]:
        """Play all rows and return what is told at each of them."""
        first = next(iter(self.models.values()))
        tracker, pending = first.tracking.start(1), first.tracking.nothing(1)
        states: dict[str, np.ndarray] = {}
        told: list[Told | None] = []
        for seq, row in enumerate(self.rows):
            said = {}
            for version, model in self.models.items():
                if seq >= self.origins.get(version, len(self.rows)):
                    said[version], states[version] = self._step(model, row, states.get(version))
                    if model.resync is not None and (seq + 1) % model.resync[0] == 0:
                        begin = max(self.origins[version], seq + 1 - model.resync[1])
                        states[version] = self._anew(model, self.rows[begin : seq + 1])
            if row.version is None and not any(told):  # from before the first push
                told.append(None)
                continue
            version = row.version or next(iter(said))
            model, forecast = self.models[version], said[version]
            if row.stands is not None:
                forecast = _z(model, self.series, row.stands.said)
            actual, units = self._actual(model, row), model.bundle.scaler.units(self.series).first(2)
            arrived = np.array([row.version is not None])
            one = model.tracking.advance(tracker, pending, actual, arrived, forecast, units, model.shift)
            tracker, pending = one.tracker, one.pending
            if row.stands is not None:
                pending[0, 0] = row.stands.said
            new = Told(one.point[0], one.median[0], one.ends[0], one.pending[0, 0].copy())
            told.append((row.stands or new) if row.version else None)
        return told

    def freeze(self, first: int, open_versions: set[str]) -> None:
        """A correction of row `first`: what versions that are not open said from there on stands as it was said."""
        told = self.told()
        for row, one in list(zip(self.rows, told, strict=True))[first:]:
            if row.version is not None:
                row.stands = None if row.version in open_versions else one

    def _step(self, model: Streamed, row: Row, state: np.ndarray | None) -> tuple[ZForecast, np.ndarray]:
        state = model.engine.initial(1) if state is None else state
        z = self._units(model).to_z(row.values[None])
        calendar = model.spec.calendar.features(np.array([row.time]))
        known = np.zeros((1, 1 + model.spec.horizon, 0), np.float32)
        return model.engine.step(Steps(z, calendar, known), state)

    def _anew(self, model: Streamed, rows: list[Row]) -> np.ndarray:
        state = model.engine.initial(1)
        for row in rows:
            _, state = self._step(model, row, state)
        return state

    def _units(self, model: Streamed) -> Units:
        return model.bundle.scaler.units(self.series)

    def _actual(self, model: Streamed, row: Row) -> np.ndarray:
        return self._units(model).screened(row.values[None])[:, :2]


def _z(model: Streamed, series: str | None, said: np.ndarray) -> ZForecast:
    units = model.bundle.scaler.units(series).first(2)
    median = ((said[..., 0] - units.mean) / units.std)[None].astype(np.float32)
    return ZForecast(median, median, (said[..., 1] / units.std)[None].astype(np.float32))
