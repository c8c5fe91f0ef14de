"""The command line as a function, and small projects to give it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.cli import run

QUICK = {"members": 2, "epochs": 3, "steps_per_epoch": 4, "length": 48, "burn_in": 12, "batch": 8, "device": "cpu"}
ROWS = 600


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def gatecast(home: Path, *arguments: object) -> Said:
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(["--home", str(home), *map(str, arguments)])
    return Said(code, out.getvalue(), err.getvalue())


def write_project(folder: Path, name: str = "tiny", train: dict[str, Any] | None = None, **data: object) -> Path:
    """Write a project file over `data.csv` with the columns time, x and y."""
    sections = {
        "data": {"source": "data.csv", "time": "time", "targets": ["x", "y"], **data},
        "model": {"hidden": 8, "horizon": 2},
        "train": {**QUICK, **(train or {})},
    }
    lines = [f"name = {json.dumps(name)}"]
    for section, keys in sections.items():
        lines += [f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in keys.items())]
    path = folder / f"{name}.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _toml(value: object) -> str:
    """Return a value as TOML, which writes a table with equal signs and all else as JSON does."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(one)}' for key, one in value.items())} }}"
    return json.dumps(value)


def write_rows(path: Path, columns: Iterable[np.ndarray]) -> None:
    table = pd.DataFrame(dict(zip("xy", columns, strict=True)))
    table.insert(0, "time", pd.date_range("2024-01-01", periods=len(table), freq="h").strftime("%Y-%m-%dT%H:%M:%SZ"))
    table.to_csv(path, index=False)


def waves(seed: int = 0) -> list[np.ndarray]:
    """Two noisy daily waves, which a linear road forecasts far better than the naive ones."""
    draw, hour = np.random.default_rng(seed), np.arange(ROWS) * 2 * np.pi / 24
    noise = draw.normal(size=(2, ROWS))
    return [(10 + 5 * np.sin(hour) + noise[0]).round(3), (100 + 20 * np.cos(hour) + 4 * noise[1]).round(3)]


def others() -> list[np.ndarray]:
    """Two waves of another period and size: what was learnt from `waves` is wrong for them."""
    draw, hour = np.random.default_rng(1), np.arange(ROWS) * 2 * np.pi / 7
    noise = draw.normal(size=(2, ROWS))
    return [(10 + 40 * np.sin(hour) + noise[0]).round(3), (100 + 150 * np.cos(hour) + 4 * noise[1]).round(3)]


def write_rows_behind(path: Path, history: Path, columns: Iterable[np.ndarray]) -> None:
    """Write rows that begin an hour after those of another file."""
    table = pd.DataFrame(dict(zip("xy", columns, strict=True)))
    last = pd.read_csv(history)["time"].iloc[-1]
    times = pd.date_range(last, periods=len(table) + 1, freq="h")[1:]
    table.insert(0, "time", times.strftime("%Y-%m-%dT%H:%M:%SZ"))
    table.to_csv(path, index=False)


def walks(seed: int = 0) -> list[np.ndarray]:
    """Two random walks, which nothing forecasts better than their last value."""
    return list(np.random.default_rng(seed).normal(size=(2, ROWS)).cumsum(axis=1).round(3))


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
