"""What is pushed to streams and what comes of it, column by column: one push or ten thousand, the same arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from forecasting.admission import Caution
from forecasting.errors import GatecastError
from forecasting.log.records import Version
from forecasting.statics import StaticValue


class Pushes(NamedTuple):
    """Rows for streams of one principal and one model, a push a stream; a stream may stand in several pushes.

    Rows `starts[p]` to `starts[p + 1]` belong to push p, oldest first, times ascending in UTC nanoseconds. `values` are
    targets, past and known covariates in the model's order, in the units of the data, NaN where missing. `ahead` are
    the known covariates of the steps after a push's last row, NaN where not given; None for a model that has none.
    `series` and `static` say what a new stream is; None, or a None inside, leaves it to the name of the stream.
    """

    principal: str
    names: Sequence[str]
    starts: Int[np.ndarray, " pushes_and_one"]
    times: Int[np.ndarray, " rows"]
    values: Float[np.ndarray, "rows columns"]
    ahead: Float[np.ndarray, "pushes horizon known"] | None = None
    series: Sequence[str | None] | None = None
    static: Sequence[Mapping[str, StaticValue]] | None = None
    history: bool = False
    """Rows from before the first push: logged, not forecast from."""


class Outcomes(NamedTuple):
    """What came of each push; where `errors` has one, nothing of that push was accepted, and its numbers mean nothing.

    `seq` and `time` are of the newest row of the push. `ends` are by level low and high, in the order of the model's
    levels, in the units of the data. `score` is as `Tracking.read` reads it, of that newest row. `answered` names the
    version that made the forecast where it is not the one that was asked (it may be loaded no longer), `cautions` what its reader should know.
    """

    errors: dict[int, GatecastError]
    seq: Int[np.ndarray, " pushes"]
    time: Int[np.ndarray, " pushes"]
    accepted: Int[np.ndarray, " pushes"]
    replayed: Bool[np.ndarray, " pushes"]
    point: Float[np.ndarray, "pushes horizon target"]
    median: Float[np.ndarray, "pushes horizon target"]
    ends: Float[np.ndarray, "pushes ends horizon target"]
    score: Float[np.ndarray, "pushes scored"]
    answered: dict[int, Version]
    cautions: dict[int, tuple[Caution, ...]]
