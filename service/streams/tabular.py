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
from service.streams.asked import Question
from service.telemetry import DRIFTS

FINE = 200
TIMES = pa.timestamp("ns", tz="UTC")


def write_table(
    model: Streamed, outcomes: Outcomes, first: int, question: Question, errors: Mapping[int, GatecastError]
) -> bytes:
    """Return the answer to many pushes as an Arrow IPC stream.

    Its columns are of the push `stream`, `status`, `problem` (the code) and `detail` where it was refused, `version`,
    `sequence`, `timestamp` (of its newest row), `accepted`, `replayed`, `scored`, `skill`, `drift`, and of the forecast
    `step`, the targets, `<target>-median`, `<target>-lo-<level>` and `<target>-hi-<level>`. What was refused, and
    history, has one row.
    """
    columns = _of_pushes(model, outcomes, first, question, errors)
    taken = np.ones(len(question.wishes), dtype=bool)
    taken[list(errors)] = False
    said = taken & (not question.pushes.history)
    steps = np.where(said, [wish.steps for wish in question.wishes], 1)
    push = np.repeat(np.arange(len(steps)), steps)
    step = np.arange(len(push)) - np.repeat(np.cumsum(steps) - steps, steps)
    if len(push) > len(steps):
        columns = {name: column.take(pa.array(push)) for name, column in columns.items()}
    shown = said[push]
    columns["step"] = pa.array(step + 1, pa.int32(), mask=~shown)
    for name, values in _of_steps(model, outcomes, question):
        columns[name] = _masked(values[first + push, step], shown)
    return _written(pa.table(columns))


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _of_pushes(
    model: Streamed, outcomes: Outcomes, first: int, question: Question, errors: Mapping[int, GatecastError]
) -> dict[str, pa.Array]:
    count = len(question.pushes.names)
    part = slice(first, first + count)
    taken, status = np.ones(count, dtype=bool), np.full(count, FINE)
    code = detail = pa.nulls(count, pa.string())
    if errors:
        taken[list(errors)] = False
        status[list(errors)] = [row_for(error).status for error in errors.values()]
        code = pa.array([row_for(errors[at]).code if at in errors else None for at in range(count)], pa.string())
        detail = pa.array([_why(errors[at]) if at in errors else None for at in range(count)], pa.string())
    scores = model.tracking.split(outcomes.score[part])
    known = taken & (scores.count > 0)
    drifts = np.where(taken & (scores.drift > 0), scores.drift, 0).astype(np.int64)
    return {
        "stream": pa.array(question.pushes.names, pa.string()),
        "status": pa.array(status, pa.int16()),
        "problem": code,
        "detail": detail,
        "version": _versions(model, outcomes, first, taken),
        "sequence": pa.array(outcomes.seq[part], mask=~taken),
        "timestamp": pa.array(outcomes.time[part], mask=~taken).cast(TIMES),
        "accepted": pa.array(outcomes.accepted[part], mask=~taken),
        "replayed": pa.array(outcomes.replayed[part], mask=~taken),
        "scored": pa.array(np.where(known, scores.count, 0).astype(np.int64), mask=~taken),
        "skill": _masked(_means(scores.skills), known),
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


def _means(skills: Float[np.ndarray, "pushes target"]) -> Float[np.ndarray, " pushes"]:
    """Return the mean of what there is of each row, NaN where there is nothing."""
    there = ~np.isnan(skills)
    with np.errstate(invalid="ignore"):
        means: np.ndarray = np.where(there, skills, 0.0).sum(axis=1, dtype=np.float64) / there.sum(axis=1)
    return means.astype(np.float32)


def _masked(values: Float[np.ndarray, " rows"], shown: Bool[np.ndarray, " rows"]) -> pa.Array:
    hidden = ~shown | np.isnan(values)
    return pa.array(values, pa.float32(), mask=hidden) if hidden.any() else pa.array(values, pa.float32())


def _versions(model: Streamed, outcomes: Outcomes, first: int, taken: Bool[np.ndarray, " pushes"]) -> pa.Array:
    others = {place - first: one for place, one in outcomes.answered.items() if 0 <= place - first < len(taken)}
    if taken.all() and not others:
        return pa.repeat(model.version.version, len(taken))
    found = np.full(len(taken), model.version.version, dtype=object)
    for at, version in others.items():
        found[at] = version.version
    return pa.array(found, pa.string(), mask=~taken)


def _why(error: GatecastError) -> str:
    problem = problem_of(error)
    return problem.detail or problem.title
