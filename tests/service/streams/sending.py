"""Pushes in every form there is, to whoever answers like a service; and what the answers say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx2
import numpy as np
import pyarrow as pa

from tests.bundles import LEVELS
from tests.forecasting.streams.machine import Answer
from tests.service.streams.pushing import ARROW, MODEL, stream
from tests.service.streams.tables import read, written

TARGETS = ("a", "b")
BULK = f"{MODEL}/streams:observe"


class Push(NamedTuple):
    """Rows of a stream; its series is told where the service cannot know it."""

    stream: str
    times: Sequence[int]
    rows: Sequence[np.ndarray]
    series: str | None = None
    history: bool = False


Form = Callable[[httpx2.Client, Sequence[Push]], list[Answer]]


def usual(client: httpx2.Client, pushes: Sequence[Push]) -> list[Answer]:
    """Send each by itself, and ask for nothing."""
    return [
        _alone(client, push, {"observations": cells(push.rows), "last_timestamp": utc(push.times[-1])})
        for push in pushes
    ]


def timed(client: httpx2.Client, pushes: Sequence[Push]) -> list[Answer]:
    """Send each by itself, with the time of each row."""
    return [_alone(client, push, _body(push)) for push in pushes]


def turned(client: httpx2.Client, pushes: Sequence[Push]) -> list[Answer]:
    """Send each by itself, with its columns and levels in another order."""
    found = []
    for push in pushes:
        data = [row[::-1] for row in cells(push.rows)]
        body = {"columns": TARGETS[::-1], "data": data, "last_timestamp": utc(push.times[-1]), "levels": LEVELS[::-1]}
        found.append(_alone(client, push, body))
    return found


def together(client: httpx2.Client, pushes: Sequence[Push]) -> list[Answer]:
    """Send all in one body of JSON."""
    streams = [{"stream": push.stream, **_body(push), **_about(push)} for push in pushes]
    answer = client.post(BULK, json={"streams": streams})
    found = answer.json()
    if answer.status_code != 200:
        return [answer_of(found)] * len(pushes)
    return [answer_of(one, found["model"]["version"]) for one in found["outcomes"]]


def tabled(client: httpx2.Client, pushes: Sequence[Push]) -> list[Answer]:
    """Send all in a table, and be answered by one."""
    flat = [(push, time, row) for push in pushes for time, row in zip(push.times, push.rows, strict=True)]
    columns = {
        "stream": pa.array([push.stream for push, _, _ in flat]),
        "timestamp": pa.array([time for _, time, _ in flat], pa.timestamp("ns", tz="UTC")),
        "series": pa.array([push.series for push, _, _ in flat], pa.string()),
    }
    for place, target in enumerate(TARGETS):
        columns[target] = pa.array([row[place] for _, _, row in flat], pa.float32(), from_pandas=True)
    asked = "&".join(f"levels={level}" for level in LEVELS)
    address = f"{BULK}?{asked}&history={str(pushes[0].history).lower()}"
    answer = client.post(address, content=written(pa.table(columns)), headers={"content-type": ARROW})
    if answer.status_code != 200:
        return [answer_of(answer.json())] * len(pushes)
    found = read(answer.content)
    return [_of_table(found.filter(pa.compute.equal(found["stream"], push.stream))) for push in pushes]


def answer_of(found: dict[str, Any], served: str = "") -> Answer:
    """Read the answer to a push, alone or among others; `served` is the version that answers where none is named."""
    if found.get("status") not in {"ready", "cold", 200}:
        return Answer(code_of(found.get("problem", found)))
    version = found["model"]["version"] if "model" in found else served
    answer = Answer("ok", found["sequence"], found["replayed"], version)
    steps = found["forecast"]
    if steps:
        levels = [LEVELS.index(int(level)) for level in steps[0]["intervals"]]
        answer.point, answer.median = (numbers(steps, part) for part in ("point", "median"))
        answer.ends = ends_of([step["intervals"] for step in steps])
        answer.asked = tuple(end for level in levels for end in (2 * level, 2 * level + 1))
    return answer


def ends_of(steps: Sequence[dict[str, dict[str, list[float]]]]) -> np.ndarray:
    """Return low and high of each level, by step and target."""
    pairs = [[[step[level][name] for name in TARGETS] for step in steps] for level in steps[0]]
    ends = np.array(pairs, np.float32)  # level, step, target, low and high
    return np.moveaxis(ends, -1, 1).reshape(-1, *ends.shape[1:3])


def numbers(steps: Sequence[dict[str, Any]], part: str) -> np.ndarray:
    return np.array([[step[part][name] for name in TARGETS] for step in steps], np.float32)


def code_of(problem: dict[str, Any]) -> str:
    return str(problem["type"]).rpartition(":")[2]


def utc(time: int) -> str:
    return datetime.fromtimestamp(time // 10**9, UTC).isoformat().replace("+00:00", "Z")


def cells(rows: Sequence[np.ndarray]) -> list[list[float | None]]:
    return [[None if np.isnan(cell) else float(cell) for cell in row] for row in rows]


def _body(push: Push) -> dict[str, Any]:
    return {"observations": cells(push.rows), "timestamps": [utc(time) for time in push.times], "levels": LEVELS}


def _about(push: Push) -> dict[str, Any]:
    return ({"series": push.series} if push.series else {}) | ({"history": True} if push.history else {})


def _alone(client: httpx2.Client, push: Push, body: dict[str, Any]) -> Answer:
    return answer_of(client.post(f"{stream(push.stream)}/observations", json=body | _about(push)).json())


def _of_table(steps: pa.Table) -> Answer:
    first = steps.slice(0, 1).to_pylist()[0]
    if first["status"] != 200:
        return Answer(first["problem"])
    answer = Answer("ok", first["sequence"], first["replayed"], first["version"])
    if first["step"] is not None:
        each = [(name, *(f"{name}-{end}-{level}" for level in LEVELS for end in ("lo", "hi"))) for name in TARGETS]
        parts = [np.stack([steps[name].to_numpy() for name in names], axis=1) for names in zip(*each, strict=True)]
        answer.point, answer.ends = parts[0], np.stack(parts[1:])
        answer.median = np.stack([steps[f"{name}-median"].to_numpy() for name in TARGETS], axis=1)
    return answer
