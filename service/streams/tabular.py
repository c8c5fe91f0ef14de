"""From what came of many pushes to an Arrow table, a row a step of a forecast; no Python object is made of a cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float

from forecasting.errors import GatecastError
from forecasting.streams.pushes import Outcomes
from forecasting.streams.streamed import Streamed
from service.problems import problem_of, row_for
from service.streams.forms import means_of
from service.streams.requests import Question
from service.telemetry import DRIFTS

FINE = 200
TIMES = pa.timestamp("ns", tz="UTC")


def write_table(
    model: Streamed, outcomes: Outcomes, first: int, question: Question, errors: Mapping[int, GatecastError]
) -> bytes:
    """Return the answer to many pushes as an Arrow IPC stream.

    Its columns are of the push `stream`, `status`, `detail` (why it was refused), `version`, `sequence`, `timestamp`
    (of its newest row), `accepted`, `replayed`, `scored`, `skill`, `drift`, and of the forecast `step`, the targets,
    `<target>-median`, `<target>-lo-<level>` and `<target>-hi-<level>`. What was refused, and history, has one row.
    """
    table = pa.table(_of_pushes(model, outcomes, first, question, errors))
    taken = np.array([at not in errors for at in range(table.num_rows)])
    said = taken & (not question.pushes.history)
    steps = np.where(said, [wish.steps for wish in question.wishes], 1)
    push = np.repeat(np.arange(len(steps)), steps)
    step = np.arange(len(push)) - np.repeat(np.cumsum(steps) - steps, steps)
    table = table.take(pa.array(push)).append_column("step", pa.array(step + 1, pa.int32(), mask=~said[push]))
    for name, values in _of_steps(model, outcomes, question):
        table = table.append_column(name, _masked(values[first + push, step], said[push]))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _of_pushes(
    model: Streamed, outcomes: Outcomes, first: int, question: Question, errors: Mapping[int, GatecastError]
) -> dict[str, pa.Array]:
    names = question.pushes.names
    part = slice(first, first + len(names))
    taken = np.array([at not in errors for at in range(len(names))])
    scores = model.tracking.split(outcomes.score[part])
    known = taken & (scores.count > 0)
    drifts = np.where(taken & (scores.drift > 0), scores.drift, 0).astype(np.int64)
    return {
        "stream": pa.array(names, pa.string()),
        "status": pa.array(
            [row_for(errors[at]).status if at in errors else FINE for at in range(len(names))], pa.int16()
        ),
        "detail": pa.array([_why(errors[at]) if at in errors else None for at in range(len(names))], pa.string()),
        "version": _versions(model, outcomes, first, taken),
        "sequence": pa.array(outcomes.seq[part], mask=~taken),
        "timestamp": pa.array(outcomes.time[part], mask=~taken).cast(TIMES),
        "accepted": pa.array(outcomes.accepted[part], mask=~taken),
        "replayed": pa.array(outcomes.replayed[part], mask=~taken),
        "scored": pa.array(np.where(known, scores.count, 0).astype(np.int64), mask=~taken),
        "skill": _masked(np.array(means_of(scores.skills), np.float32), known),
        "drift": pa.array(DRIFTS).take(pa.array(drifts, mask=~taken)),
    }


def _of_steps(
    model: Streamed, outcomes: Outcomes, question: Question
) -> Iterator[tuple[str, Float[np.ndarray, "pushes horizon"]]]:
    levels = sorted({level for wish in question.wishes for level in wish.levels})
    for place, target in enumerate(model.spec.targets):
        yield target, outcomes.point[:, :, place]
        yield f"{target}-median", outcomes.median[:, :, place]
        for level in levels:
            end = 2 * model.tracking.levels.index(level)
            yield f"{target}-lo-{level}", outcomes.ends[:, end, :, place]
            yield f"{target}-hi-{level}", outcomes.ends[:, end + 1, :, place]


def _masked(values: Float[np.ndarray, " rows"], shown: Bool[np.ndarray, " rows"]) -> pa.Array:
    return pa.array(values, pa.float32(), mask=~shown | np.isnan(values))


def _versions(model: Streamed, outcomes: Outcomes, first: int, taken: Bool[np.ndarray, " pushes"]) -> pa.Array:
    found = np.full(len(taken), model.version.version, dtype=object)
    for place, version in outcomes.answered.items():
        if first <= place < first + len(taken):
            found[place - first] = version.version
    return pa.array(found, pa.string(), mask=~taken)


def _why(error: GatecastError) -> str:
    problem = problem_of(error)
    return problem.detail or problem.title
