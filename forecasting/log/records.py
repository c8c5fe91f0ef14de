"""What the observation log and the ledger hold, as values; numbers travel as bytes of little-endian 32-bit floats.

Rows of a stream are numbered by `seq` from 0 along the model's grid: every step of it has a row, also one that never
came (`Kind.FILLER`). So the forecast issued at row s says step h about row s + h.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Key(NamedTuple):
    """Whose stream it is, of which model, and what it is called."""

    principal: str
    model: str
    stream: str


class Version(NamedTuple):
    """A registered version of a model, with the run that trained it."""

    model: str
    version: str
    run_id: str


class Kind(IntEnum):
    """How a row came: pushed; not at all, the rows around it did; or as history, before the first push."""

    PUSHED = 0
    FILLER = 1
    HISTORY = 2


PUSHED = int(Kind.PUSHED)
"""The usual kind, as drivers and tuples take it at once."""


class Stream(NamedTuple):
    """A stream as it stands: its newest row, and what is tracked of its forecasts.

    `id` is a random number of 63 bits, `contract` the digest of what its rows are, `seq` -1 and `time` 0 before the
    first row, `epoch` grows with every correction. `tracker` holds 64-bit floats in the layout that `shape` names (see
    `streams.tracking`), `drift` its code. `static` is JSON. Times are UTC nanoseconds.
    """

    id: int
    key: Key
    series: str | None
    static: str
    contract: str
    created: int
    seq: int = -1
    time: int = 0
    epoch: int = 0
    tracker: bytes = b""
    shape: str = ""
    drift: int = 0


class Observation(NamedTuple):
    """A row of a stream, in the units of the data, NaN where missing.

    `values` are targets, past and known covariates; `ahead` the known covariates of the steps to come, as they were
    given with it. `score` is how the forecasts about it fared (see `streams.tracking`). `revision` counts corrections,
    `arrived` is when it was accepted.
    """

    stream: int
    seq: int
    time: int
    values: bytes
    arrived: int
    kind: int = Kind.PUSHED
    ahead: bytes | None = None
    score: bytes | None = None
    revision: int = 0


class Issued(NamedTuple):
    """A forecast as it was issued at a row.

    `values` are point, median and, by level, low and high, of (step, target) each, in the units of the data; `said`
    median and scale in learned units (after a logarithm, if the column has one), of (step, target, 2). `notes` is the
    JSON of the warnings. `revised`: a correction of an earlier row has changed it since.
    """

    stream: int
    seq: int
    version: Version
    values: bytes
    said: bytes
    notes: str | None = None
    revised: bool = False


class Snapshot(NamedTuple):
    """The state of a stream under a version behind row `seq`, and its tracker there."""

    stream: int
    version: Version
    seq: int
    state: bytes
    tracker: bytes
    shape: str


class Origin(NamedTuple):
    """The row that the state of a stream under a version is unrolled from."""

    stream: int
    version: Version
    seq: int


class Advance(NamedTuple):
    """From where to where a stream goes; it must still stand at `before` in `epoch`, else nothing is written."""

    stream: int
    before: int
    epoch: int
    seq: int
    time: int
    tracker: bytes
    shape: str
    drift: int


class Onward(NamedTuple):
    """One more row of each of some streams, pushed and forecast from: what nearly every commit is, as columns.

    A stream goes from the row `before` in `epochs` to the next one, `seqs`. `trackers`, `drifts` and `shape` are as in
    `Advance`, `times`, `values`, `scores` and `arrived` as in `Observation`, `forecasts` (its `values`), `said`
    and `version` as in `Issued`. Records of a thousand rows would cost as much as computing their forecasts.
    """

    streams: list[int]
    before: list[int]
    epochs: list[int]
    seqs: list[int]
    times: list[int]
    trackers: list[bytes]
    drifts: list[int]
    values: list[bytes]
    scores: list[bytes]
    forecasts: list[bytes]
    said: list[bytes]
    notes: list[str | None]
    shape: str
    arrived: int
    version: Version


class Commit(NamedTuple):
    """All that is written at once, or not at all.

    Each stream in `created` (with seq -1) also stands in `advanced`; none stands both there and in `onward`.
    """

    created: list[Stream]
    advanced: list[Advance]
    observations: list[Observation]
    issued: list[Issued]
    snapshots: list[Snapshot]
    origins: list[Origin]
    onward: Onward | None = None


class Correction(NamedTuple):
    """A row corrected, and all that follows from it, written at once; the row as it was is kept aside.

    `observation` has the new values and the next revision. `advance` has `before` and `seq` alike, and the `epoch` it
    must still stand in, which grows by one. `scores` are those of later rows by seq, `issued` replaces forecasts from
    there on. Snapshots of rows at or behind the corrected one are deleted, then `snapshots` written.
    """

    observation: Observation
    advance: Advance
    scores: dict[int, bytes | None]
    issued: list[Issued]
    snapshots: list[Snapshot]


class Entry(NamedTuple):
    """A line of the ledger: a row that came, and the forecast issued at it, if one was."""

    observation: Observation
    issued: Issued | None
