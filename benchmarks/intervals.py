"""Intervals of streams: coverage and cost through a break and on real data, drift, and the time it takes.

`python -m benchmarks.intervals [PROJECT.toml ...]`; the demo panel is always among what is streamed. Rows are replayed
through `Tracking` with what the trained model says of them streamed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
import torch

from benchmarks.accuracy import Nobody
from benchmarks.data import demo_project
from benchmarks.measuring import interleaved
from benchmarks.publishing import Table, publish
from benchmarks.tracks import (
    LEVEL,
    WINDOW,
    begun,
    calibrated,
    inside,
    interval_score,
    own_units,
    rolling,
    track,
    track_known,
)
from forecasting.assembly import prepare
from forecasting.conformal import Calibration
from forecasting.engines import ZForecast
from forecasting.project import Project, load_project
from forecasting.reading import read_panel
from forecasting.scaled import ScaledSeries
from forecasting.scaling import Units
from forecasting.streaming import Job, stream
from forecasting.streams.tracking import Tracking
from forecasting.training import fit

ROWS, BREAK, SEEDS = 3_000, 1_500, 100
REPORTED = 2_000
"""Seed of what is reported; parameters were chosen on others (1, 5, 77)."""


def main() -> None:
    """Measure all of it and write the result."""
    torch.set_num_threads(1)
    projects = [demo_project(), *(load_project(Path(name)) for name in sys.argv[1:])]
    broken = [_break(kind, times) for kind in ("normal", "t5") for times in (3.0, 1 / 3, 1.0)]
    real = [row for project in projects for row in _real(project)]
    drift = [_drift(keep) for keep in (0.0, 0.5, 0.9, 0.99)]
    what = (
        f"Online intervals at {LEVEL} %, from `Tracking` alone: {SEEDS} seeds of {ROWS:,} rows with a forecaster whose "
        f"scale is right until row {BREAK:,}, then off by a factor; and the test part of real data, streamed by a "
        f"model with the defaults. `rolling` is over every {WINDOW} rows in a row, those across the break too."
    )
    tables = [
        Table("Break", BREAK_HEAD, broken, BREAK_NOTE),
        Table("Real data", REAL_HEAD, real, REAL_NOTE),
        Table("Drift", DRIFT_HEAD, drift, DRIFT_NOTE),
        Table("Time", ("streams", "horizon", "us a call", "us a stream"), [_time(*one) for one in SIZES], TIME_NOTE),
    ]
    publish("intervals", what, tables)


BREAK_HEAD = (
    *("noise, factor", "coverage", "seeds within 87 to 93 %", "rolling, all seeds", "fixed: rolling, mean of seeds"),
    *("interval score / oracle", "fixed / oracle"),
)
REAL_HEAD = (
    *("series", "step", "coverage", "by column, %", "fixed", "rolling", "fixed: rolling"),
    *("interval score / fixed, by column", "alarms: inputs, errors"),
)
DRIFT_HEAD = (
    *("rows", "alarms of inputs in 20,000", "of errors", "3 x errors, rows until told"),
    "inputs 2 sd off, rows until told",
)
BREAK_NOTE = "Goals: 19 of 20 seeds, at most 1.05 of the oracle, where fixed intervals fall below 75 %."
REAL_NOTE = (
    "`fixed` are the calibrated intervals as they are. Coverage is the mean over columns, `rolling` from the "
    "column where it is least to the one where it is most. Goal: 88 to 92 % in the mean."
)
DRIFT_NOTE = (
    "AR(1) of standard deviation 1, one target; forecasts are 0, so that errors are as correlated as rows. Medians of "
    "50 streams, in brackets the share told within 100 rows and 200. Goal: less than one false alarm in 20,000 rows."
)
TIME_NOTE = "7 targets and 3 levels; the least of 40 rounds. Goals: 10 us for one stream, 1.5 us each for 1,000."
SIZES = ((1, 1), (1_000, 1), (1, 24), (1_000, 24))


def _noise(kind: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return draw.normal(size=shape) if kind == "normal" else draw.standard_t(5, size=shape)


def _break(kind: str, times: float) -> tuple[str, ...]:
    scale = np.where(np.arange(ROWS) < BREAK, 1.0, times)
    rows = _noise(kind, (SEEDS, ROWS), REPORTED) * scale
    played = track_known(rows, calibrated(_noise(kind, (2_000, 1, 1), REPORTED + 1)))
    truth = np.quantile(np.abs(_noise(kind, (4_000_000,), REPORTED + 2)), LEVEL / 100)
    oracle, fixed = interval_score(-truth * scale, truth * scale, rows), interval_score(-truth, truth, rows)
    held = inside(played.low, played.high, rows)
    least, most = (edge(rolling(held), axis=1) for edge in (np.min, np.max))
    still = rolling(inside(-truth, truth, rows))
    return (
        f"{kind}, {times:.2g}",
        f"{held[:, 1:].mean():.1%}",
        f"{np.mean((least >= 0.87) & (most <= 0.93)):.0%}",
        f"{least.min():.1%} to {most.max():.1%}",
        f"{still.min(axis=1).mean():.1%} to {still.max(axis=1).mean():.1%}",
        f"{interval_score(played.low, played.high, rows) / oracle:.3f}",
        f"{fixed / oracle:.3f}",
    )


def _real(project: Project) -> list[tuple[str, ...]]:
    project = msgspec.structs.replace(project, train=msgspec.structs.replace(project.train, device="cpu", seed=0))
    panel, _ = read_panel(project)
    series = prepare(panel, project).series
    fitted = fit(project, series, Nobody())
    told = stream(fitted.forecaster, [Job(one, range(one.test.start - 1, one.test.stop - 1)) for one in series])
    if fitted.calibration is None:
        return []
    horizon = project.model.horizon
    steps = sorted({0, (horizon - 1) // 2, horizon - 1})
    return [
        _streamed(f"{project.name}: {one.series.id}", one, ZForecast(*said), fitted.calibration, step)
        for one, said in zip(series, told, strict=True)
        for step in steps
    ]


def _streamed(name: str, one: ScaledSeries, said: ZForecast, calibration: Calibration, step: int) -> tuple[str, ...]:
    rows, units = one.actual(one.test.start, one.test.stop), one.target_units
    shown = ZForecast(*(part[None] for part in said))
    columns = range(rows.shape[1])
    played = [track(calibration, shown, rows[None], units, step, c) for c in columns]
    fixed = _fixed(said, calibration, units, step)
    found = [inside(part.low[0], part.high[0], rows[:, c]) for c, part in enumerate(played)]
    still = [inside(fixed[0][:, c], fixed[1][:, c], rows[:, c]) for c in columns]
    ratio = [
        interval_score(part.low[0], part.high[0], rows[:, c])
        / interval_score(fixed[0][:, c], fixed[1][:, c], rows[:, c])
        for c, part in enumerate(played)
    ]
    alarms = [begun(played[0].drift, code).item() for code in (1, 2)]
    return (
        name,
        str(step + 1),
        f"{np.mean([np.nanmean(part) for part in found]):.1%}",
        " ".join(f"{100 * np.nanmean(part):.1f}" for part in found),
        f"{np.mean([np.nanmean(part) for part in still]):.1%}",
        _spread(found),
        _spread(still),
        " ".join(f"{one_ratio:.2f}" for one_ratio in ratio),
        ", ".join(map(str, alarms)),
    )


def _fixed(said: ZForecast, calibration: Calibration, units: Units, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the calibrated ends about each row, as they are: those of step h were said h - 1 rows before the last."""
    ends = [units.from_z(part)[:, step] for part in calibration.interval(LEVEL, said.median, said.scale)]
    low, high = (np.concatenate([np.full((step, part.shape[1]), np.nan), part[: len(part) - step]]) for part in ends)
    return low, high


def _spread(held: list[np.ndarray]) -> str:
    shares = [rolling(part[~np.isnan(part)][None]) for part in held]
    return f"{min(part.min() for part in shares):.1%} to {max(part.max() for part in shares):.1%}"


def _drift(keep: float) -> tuple[str, ...]:
    calm = calibrated(_noise("normal", (2_000, 1, 1), REPORTED + 1))
    steady, wider, moved = (_ar(keep, rows, REPORTED + 3) for rows in (20_000, ROWS, ROWS))
    wider[:, BREAK:] *= 3
    moved[:, BREAK:] += 2
    told = track_known(steady, calm).drift
    counts = [begun(told, code).mean() for code in (1, 2)]
    waits = [_wait(track_known(rows, calm).drift, code) for rows, code in ((wider, 2), (moved, 1))]
    return f"AR({keep})", *(f"{count:.2f}" for count in counts), *waits


def _wait(drift: np.ndarray, code: int) -> str:
    """Say how many rows behind the break an alarm began, where none was on already."""
    told = (drift & code) > 0
    waits = np.where(told[:, BREAK:].any(axis=1), told[:, BREAK:].argmax(axis=1), np.inf)
    return f"{np.median(waits):.0f} ({np.mean(waits <= 100):.0%}, {np.mean(waits <= 200):.0%})"


def _ar(keep: float, rows: int, seed: int) -> np.ndarray:
    drawn = _noise("normal", (50, rows), seed)
    for i in range(1, rows):
        drawn[:, i] = keep * drawn[:, i - 1] + np.sqrt(1 - keep**2) * drawn[:, i]
    return drawn


def _time(streams: int, horizon: int) -> tuple[str, ...]:
    """Time a row of streams with 7 targets and 3 levels."""
    calibration = calibrated(_noise("normal", (300, horizon, 7), 0))
    tracking, units = Tracking(calibration, horizon, 7), own_units(7)
    point, median, scale = np.exp(_noise("normal", (3, streams, horizon, 7), 1)).astype(np.float32)
    rows, came, said = (
        _noise("normal", (streams, 7), 2).astype(np.float32),
        np.ones(streams, bool),
        ZForecast(point, median, scale),
    )
    made = tracking.advance(
        tracking.start(streams), tracking.nothing(streams), rows, came, said, units, calibration.shift
    )
    repeats = max(2_000 // (streams * horizon), 3)

    def way() -> None:
        for _ in range(repeats):
            tracking.advance(made.tracker, made.pending, rows, came, said, units, calibration.shift)

    least = min(interleaved({"advance": way}, 40)["advance"]) / repeats * 1e6
    return f"{streams:,}", str(horizon), f"{least:,.1f}", f"{least / streams:.2f}"


if __name__ == "__main__":
    main()
