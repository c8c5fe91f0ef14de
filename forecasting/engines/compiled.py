"""A network on one core of a CPU: its cells by onnxruntime, everything around them by numpy.

The equations of `network`, `filling`, `linear` and `members`, for the last row of fresh windows alone; tests hold both
against each other. Arrays are rows first, (time, window, feature), as the cells take them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from forecasting.engines.graph import open_cells
from forecasting.engines.interface import Inputs, ZForecast
from forecasting.filling import LONGEST_ABSENCE
from forecasting.members import OUTPUTS, Architecture
from forecasting.network import LARGEST_STRETCH, Forecaster
from forecasting.statics import Coded

NEVER = math.log1p(LONGEST_ABSENCE)
Weights = dict[str, np.ndarray]


class Views(NamedTuple):
    """What a member sees of each column, see `filling.fill`; `absence` as its logarithm, 1 where never seen."""

    level: Float[np.ndarray, "time window column"]
    changes: Float[np.ndarray, "time window column"]
    observed: Float[np.ndarray, "*time_window_column"]
    absence: Float[np.ndarray, "*time_window_column"]


class Known(NamedTuple):
    """Covariates known in advance, 0 where missing, and beside them whether they are there."""

    values: Float[np.ndarray, "reach window known"]
    pairs: Float[np.ndarray, "reach window two_known"]


class CompiledEngine:
    """Weights as arrays, the cells of all members as one session; later changes of the network are not seen."""

    _every = False

    def __init__(self, forecaster: Forecaster) -> None:
        """Take the weights over."""
        a = forecaster.architecture
        weights = {name: tensor.detach().cpu().numpy() for name, tensor in forecaster.state_dict().items()}
        self.name = "onnxruntime on cpu"
        self._cells = open_cells(forecaster, every=self._every)
        self._road = Road(a, weights)
        self._members = [Member(a, _under(f"members.{place}.", weights)) for place in range(a.members)]
        self._seen, self._waited = np.ones((1, 1, a.seen), np.float32), np.zeros((1, 1, a.seen), np.float32)
        self._spread, self._noise = weights["spread"] / np.float32(a.members), weights["noise"]

    def forecast_last(self, inputs: Inputs) -> ZForecast:
        """Return point, median and scale by window, step and target."""
        values, calendar, known = (part.transpose(1, 0, 2) for part in inputs[:3])
        views, ahead = self._views(values), known_of(known)
        rows = {
            f"rows{place}": one.rows(views, calendar, ahead, inputs.static) for place, one in enumerate(self._members)
        }
        hidden = self._cells.run(None, rows)
        said = [one.corrections(last[0], ahead) for one, last in zip(self._members, hidden, strict=True)]
        return self._together(self._road.said(views, calendar[-1], ahead), said)

    def _views(self, values: Float[np.ndarray, "time window column"]) -> Views:
        if np.isnan(values.sum()):  # z units: finite or missing
            return _views_with_holes(values)
        changes = np.zeros(values.shape, dtype=np.float32)
        np.subtract(values[1:], values[:-1], out=changes[1:])
        return Views(values, changes, self._seen, self._waited)

    def _together(self, base: Float[np.ndarray, "window two horizon target"], said: list[np.ndarray]) -> ZForecast:
        """Add the mean of the members to anchor and road; the correction of the scale stays within its limits."""
        for one in said:
            stretch = one[:, -1]
            np.minimum(np.maximum(stretch, -LARGEST_STRETCH, out=stretch), LARGEST_STRETCH, out=stretch)
        mean = (said[0] if len(said) == 1 else sum(said)) * self._spread
        base += mean[:, :-1]
        return ZForecast(base[:, 0], base[:, 1], np.exp(mean[:, -1] + self._noise))


class Road:
    """Anchor and linear road at the last row, as point and median take them."""

    def __init__(self, a: Architecture, weights: Weights) -> None:
        """Lay the weights out as matrices, a column an output; each output takes its share of the road."""
        self._lags = a.lags
        self._share = weights["share"]
        share = self._share.reshape(-1)[:, None]
        across = np.concatenate([weights[f"linear.{name}"] for name in ("level", "calendar", "now")], axis=1)
        self._across = np.ascontiguousarray((np.tile(across, (2, 1)) * share).T)
        changes = weights["linear.changes"].transpose(0, 2, 1).reshape(a.horizon * a.targets, -1)
        self._changes = np.ascontiguousarray((np.tile(changes, (2, 1)) * share).T)
        self._ahead, self._bias = weights["linear.ahead"], np.tile(weights["linear.bias"], 2) * share[:, 0]

    def said(
        self, views: Views, calendar: Float[np.ndarray, "window feature"], known: Known
    ) -> Float[np.ndarray, "window two horizon target"]:
        """Return the last value with what the road adds to it."""
        rows, windows = views.level.shape[:2]
        level = views.level[-1]
        recent = views.changes[-self._lags :].transpose(1, 0, 2).reshape(windows, -1)
        now = np.concatenate([level, calendar, known.values[rows - 1]], axis=1)
        along = recent @ self._changes[-recent.shape[1] :]  # changes before the first row are 0
        said: np.ndarray = (along + now @ self._across + self._bias).reshape(windows, *self._share.shape)
        if known.values.shape[2]:
            said += self._share * np.einsum("hbk,hck->bhc", known.values[rows:], self._ahead)[:, None]
        said += level[:, None, None, : self._share.shape[-1]]
        return said


class Member:
    """What one member sees, and what it makes of the hidden state of its cell."""

    def __init__(self, a: Architecture, weights: Weights) -> None:
        """Keep the weights outside the cell."""
        self._shape = a
        self._embeddings = [weights[f"embeddings.{place}.weight"] for place in range(len(a.categories))]
        self._channel = weights.get("channel.weight")
        self._head = Linear(weights, "head")
        self._ahead = [Linear(weights, f"ahead.{name}") for name in ("context", "known", "out")] if a.known else []

    def rows(
        self, views: Views, calendar: Float[np.ndarray, "time window feature"], known: Known, static: Coded | None
    ) -> Float[np.ndarray, "time folded input"]:
        """Return what the cell takes: the views of the columns, then what all columns share."""
        time, windows = views.level.shape[:2]
        own = self._own(views)
        common = [calendar, known.pairs[:time], self._constant(windows, static)[None]]
        width = sum(part.shape[-1] for part in (*own, *common))
        rows = np.empty((time, windows, self._shape.folds, width), dtype=np.float32)
        start = 0
        for part in (*own, *(one[:, :, None] for one in common)):
            stop = start + part.shape[-1]
            rows[..., start:stop] = part
            start = stop
        return rows.reshape(time, -1, width)

    def _own(self, views: Views) -> list[np.ndarray]:
        """Return the views of all columns, or of each target beside the past covariates and its embedding."""
        if self._channel is None:
            return [view[:, :, None] for view in views]
        targets = self._shape.targets
        each = [view[..., :targets, None] for view in views]
        past = [view[:, :, None, targets:] for view in views]
        return [*each, *past, self._channel[None, None]]

    def _constant(self, windows: int, static: Coded | None) -> Float[np.ndarray, "window feature"]:
        numbers = np.zeros((windows, self._shape.statics), np.float32) if static is None else static.numbers
        codes = np.zeros((windows, len(self._embeddings)), np.int64) if static is None else static.codes
        return np.concatenate(
            [numbers, *(weight[codes[:, place]] for place, weight in enumerate(self._embeddings))], axis=1
        )

    def corrections(
        self, hidden: Float[np.ndarray, "folded hidden"], known: Known
    ) -> Float[np.ndarray, "window output horizon target"]:
        """Return what the head, and the covariates known in advance, add for every step."""
        a = self._shape
        raw = self._head(hidden)
        if self._ahead:
            raw += self._of_ahead(hidden, known.pairs[-a.horizon :])
        if a.folds == 1:
            return raw.reshape(-1, OUTPUTS, a.horizon, a.targets)
        return raw.reshape(-1, a.targets, OUTPUTS, a.horizon).transpose(0, 2, 3, 1)

    def _of_ahead(
        self, hidden: np.ndarray, pairs: Float[np.ndarray, "horizon window two_known"]
    ) -> Float[np.ndarray, "folded output"]:
        context, mix, out = self._ahead
        mixed = np.repeat(mix(pairs), self._shape.folds, axis=1)
        said = out(np.tanh(context(hidden) + mixed))
        by_output = said.reshape(*said.shape[:2], OUTPUTS, -1)
        return by_output.transpose(1, 2, 0, 3).reshape(len(hidden), -1)


class Linear:
    """A linear layer."""

    def __init__(self, weights: Weights, name: str) -> None:
        """Take the weights of the layer of that name."""
        self._matrix = np.ascontiguousarray(weights[f"{name}.weight"].T)
        self._bias = weights.get(f"{name}.bias", np.float32(0))

    def __call__(self, rows: Float[np.ndarray, "*rows feature"]) -> Float[np.ndarray, "*rows output"]:
        """Apply it."""
        return np.asarray(rows @ self._matrix + self._bias)


def _under(prefix: str, weights: Weights) -> Weights:
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


def _views_with_holes(values: Float[np.ndarray, "time window column"]) -> Views:
    """Carry the last value of each column forward: the running maximum of observed positions is where it stands."""
    missing = np.isnan(values)
    position = np.arange(1, len(values) + 1)[:, None, None]
    source = np.maximum.accumulate(np.where(missing, 0, position), axis=0)
    seen = source > 0
    level = np.where(seen, np.take_along_axis(values, np.maximum(source - 1, 0), axis=0), np.float32(0))
    changes = np.zeros(values.shape, dtype=np.float32)
    np.subtract(level[1:], level[:-1], out=changes[1:], where=seen[:-1])
    waited = np.where(seen, position - source, LONGEST_ABSENCE).clip(max=LONGEST_ABSENCE)
    return Views(level, changes, (~missing).astype(np.float32), (np.log1p(waited) / NEVER).astype(np.float32))


def known_of(known: Float[np.ndarray, "reach window known"]) -> Known:
    """Return covariates known in advance as members and road take them."""
    if not known.shape[2]:
        return Known(known, known)
    there = ~np.isnan(known)
    values = np.where(there, known, np.float32(0))
    return Known(values, np.concatenate([values, there.astype(np.float32)], axis=2))
