"""Gatecast beside neuralforecast and darts: the same rows, threads and scorer, one after another in one run.

`python -m benchmarks.peers --peers-python PATH PROJECT.toml ...`; without a project, the demo panel. The peers live in
an environment of their own, whose interpreter PATH is; each forecaster runs in a process of its own.

How it is measured. Next steps over all rows of the test part, each from the rows before it, with weights that are
fitted once. Peers get the targets in z units of the training rows, gaps filled with the last value seen, each column as
a series of one global model, no calendar; they are scored here, on observed cells, like Gatecast. Times leave out the
start of the process and imports. Gatecast's fit starts at the file on disk, with reading and checks; that of a peer at
arrays in memory. `time to reach` is the time of the shorter of two whole runs of Gatecast whose forecaster errs no more
on the test rows than the peer in the same round: one stopped at its first batch, one to the end. It is an upper bound:
training may have passed that point earlier.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from benchmarks.contenders.exchange import Report, Task, read_report, write_task
from benchmarks.contenders.with_gatecast import SOONEST, next_step
from benchmarks.data import demo_file
from benchmarks.publishing import Table, publish
from forecasting.assembly import prepare
from forecasting.project import load_project
from forecasting.reading import read_panel
from forecasting.scaled import origins

WHOLE = "gatecast"
OURS = {SOONEST: "with_gatecast", WHOLE: "with_gatecast"}
PEERS = {
    "neuralforecast LSTM": "with_neuralforecast",
    "neuralforecast GRU": "with_neuralforecast",
    "darts BlockRNNModel LSTM": "with_darts",
    "darts RNNModel LSTM": "with_darts",
}
ROOT = Path(__file__).parents[1]
FIND = "import importlib.util as u, sys; sys.exit(not all(u.find_spec(n) for n in ('neuralforecast', 'darts')))"
ADVICE = """{python} has no neuralforecast and darts. They are measured in an environment of their own:
    python3.11 -m venv ~/peers
    ~/peers/bin/python -m pip install --constraint constraints.txt '.[peers]'
    python -m benchmarks.peers --peers-python ~/peers/bin/python [PROJECT.toml ...]"""


class Contest(NamedTuple):
    """A project with what is to be forecast: by series, z units with and without gaps, and the rows of the parts."""

    path: Path
    name: str
    observed: tuple[np.ndarray, ...]
    filled: tuple[np.ndarray, ...]
    valid: int
    test: int

    def mse_z(self, forecasts: Sequence[np.ndarray]) -> float:
        """Return the squared error over all observed cells of the test part."""
        errors = [said - came[-self.test :] for said, came in zip(forecasts, self.observed, strict=True)]
        return float(np.nanmean(np.square(np.concatenate(errors, dtype=np.float64))))

    def persistence(self) -> float:
        """Return the squared error of the last value seen."""
        return self.mse_z([values[-self.test - 1 : -1] for values in self.filled])


class Result(NamedTuple):
    """A contender in one round."""

    report: Report
    mse_z: float


Round = Mapping[str, Result]


def main() -> None:
    """Measure what the command line asks for."""
    asked = _asked()
    if not _can_import(asked.peers_python):
        print(ADVICE.format(python=asked.peers_python), file=sys.stderr)
        sys.exit(2)
    torch.set_num_threads(asked.threads)
    for path in asked.projects or [demo_file()]:
        contest = contest_of(path)
        print(f"{contest.name}: persistence {contest.persistence():.4f} over {contest.test:,} rows", flush=True)
        _publish(contest, list(_rounds(contest, asked)), asked)


def contest_of(path: Path) -> Contest:
    """Read a project and lay out its rows.

    Raises:
        ValueError: its series have parts of different lengths, which neuralforecast cannot take.
    """
    project = next_step(load_project(path), seed=0, threads=1)
    panel = prepare(read_panel(project)[0], project).series
    parts = {(one.valid.stop - one.valid.start, len(origins(one.test, 1))) for one in panel}
    if len(parts) > 1:
        message = f"the series of {project.name} have validation and test parts of {sorted(parts)} rows; give one size"
        raise ValueError(message)
    observed = tuple(one.target_z(0, one.test.stop) for one in panel)
    return Contest(path, project.name, observed, tuple(_filled(one) for one in observed), *parts.pop())


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="Gatecast beside its peers.")
    parser.add_argument("projects", nargs="*", type=Path, metavar="PROJECT.toml")
    parser.add_argument("--peers-python", default=sys.executable, help="interpreter that has neuralforecast and darts")
    parser.add_argument("--seeds", type=int, default=3, help="rounds, of seeds 0, 1, ... (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="of each forecaster (default 1)")
    parser.add_argument("--steps", type=int, default=600, help="a peer trains at most (default 600)")
    parser.add_argument("--only", action="append", choices=list(PEERS), help="one of the peers; may be repeated")
    return parser.parse_args()


def _can_import(python: str) -> bool:
    try:
        return subprocess.run([python, "-c", FIND], check=False).returncode == 0
    except OSError:
        return False


def _filled(z: np.ndarray) -> np.ndarray:
    """Fill gaps with the last value seen, as peers take none; before the first, with the mean of training."""
    return pd.DataFrame(z).ffill().fillna(0.0).to_numpy(dtype=np.float32)


def _rounds(contest: Contest, asked: argparse.Namespace) -> Iterator[Round]:
    """Run every contender once a seed, in another order each time."""
    order = [*OURS, *(asked.only or PEERS)]
    for seed in range(asked.seeds):
        yield {name: _result(contest, name, seed, asked) for name in order}
        order = order[1:] + order[:1]


def _result(contest: Contest, name: str, seed: int, asked: argparse.Namespace) -> Result:
    task = Task(name, str(contest.path.resolve()), seed, asked.threads, contest.valid, contest.test, asked.steps)
    with tempfile.TemporaryDirectory(prefix="contender-") as folder:
        write_task(Path(folder), task, contest.filled)
        _run(asked.peers_python if name in PEERS else sys.executable, {**OURS, **PEERS}[name], Path(folder), task)
        report, forecasts = read_report(Path(folder))
    result = Result(report, contest.mse_z(forecasts))
    print(f"seed {seed}, {name}: mse_z {result.mse_z:.4f}, fit {report.fit.clock:.1f} s {report.notes}", flush=True)
    return result


def _run(python: str, module: str, folder: Path, task: Task) -> None:
    """Start a contender and wait for it; what it says goes to a file, of which the end is shown if it fails."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(task.threads))
    command, log = [python, "-m", f"benchmarks.contenders.{module}", str(folder)], folder / "log"
    with log.open("wb") as out:
        done = subprocess.run(
            command, check=False, cwd=ROOT, env={**os.environ, **threads}, stdout=out, stderr=subprocess.STDOUT
        )
    if done.returncode:
        end = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        sys.exit(f"{task.contender} ended with code {done.returncode}; the end of what it said:\n{end}")


def _publish(contest: Contest, rounds: Sequence[Round], asked: argparse.Namespace) -> None:
    versions = dict(item for result in rounds[0].values() for item in result.report.versions.items())
    what = (
        f"{contest.name}: next steps over {contest.test:,} test rows of {len(contest.observed)} series of "
        f"{contest.observed[0].shape[1]} columns; {len(rounds)} seed(s); {asked.threads} thread(s) each; at most "
        f"{asked.steps} steps for a peer; {', '.join(map(' '.join, sorted(versions.items())))}. "
        "How it is measured stands in `benchmarks/peers.py`, the settings of the peers in `benchmarks/contenders`."
    )
    publish(f"peers-{contest.name}", what, [_figures(contest, rounds), _ratios(rounds)])


def _figures(contest: Contest, rounds: Sequence[Round]) -> Table:
    measures: dict[str, tuple[Callable[[Result], float], str]] = {
        "mse_z": (lambda result: result.mse_z, "{:.4f}"),
        "fit, s": (lambda result: result.report.fit.clock, "{:.1f}"),
        "fit, processor s": (lambda result: result.report.fit.processor, "{:.1f}"),
        "test rows, s": (lambda result: result.report.forecast.clock, "{:.2f}"),
        "peak memory, MiB": (lambda result: result.report.peak_mib, "{:.0f}"),
    }
    rows = [
        (name, *(_median([figure(one[name]) for one in rounds], form) for figure, form in measures.values()))
        for name in rounds[0]
    ]
    rows.append(("persistence", f"{contest.persistence():.4f}", *("-",) * (len(measures) - 1)))
    note = "Medians over the seeds (least to largest). Peak memory is of the whole process, libraries included."
    return Table("Side by side", ("forecaster", *measures), rows, note)


def _ratios(rounds: Sequence[Round]) -> Table:
    head = ("peer", "mse_z", "fit", "test rows", "peak memory", "time to reach its error, s", "its fit / time to reach")
    note = (
        "Gatecast (to the end) / peer in the same round, medians (least to largest): less is better for Gatecast, but "
        "in the last column more is."
    )
    return Table("Gatecast / peer", head, [_against(rounds, name) for name in rounds[0] if name in PEERS], note)


def _against(rounds: Sequence[Round], peer: str) -> tuple[str, ...]:
    pairs = [(one[WHOLE], one[peer]) for one in rounds]
    ratios = (
        [ours.mse_z / theirs.mse_z for ours, theirs in pairs],
        [ours.report.fit.clock / theirs.report.fit.clock for ours, theirs in pairs],
        [ours.report.forecast.clock / theirs.report.forecast.clock for ours, theirs in pairs],
        [ours.report.peak_mib / theirs.report.peak_mib for ours, theirs in pairs],
    )
    reached = [_reached(one, peer) for one in rounds]
    if None in reached:
        missed = f"not reached in {reached.count(None)} of {len(reached)}"
        return peer, *(_median(ratio, "{:.2f}") for ratio in ratios), missed, "-"
    times = [seconds for seconds in reached if seconds is not None]
    gains = [theirs.report.fit.clock / seconds for (_, theirs), seconds in zip(pairs, times, strict=True)]
    return peer, *(_median(ratio, "{:.2f}") for ratio in ratios), _median(times, "{:.1f}"), _median(gains, "{:.1f}")


def _reached(one: Round, peer: str) -> float | None:
    """Return the time of the shortest `fit` whose forecaster is as good as the peer; None if there is none."""
    good = [one[name].report.fit.clock for name in OURS if one[name].mse_z <= one[peer].mse_z]
    return min(good, default=None)


def _median(numbers: Sequence[float], form: str) -> str:
    middle = form.format(statistics.median(numbers))
    return middle if len(numbers) == 1 else f"{middle} ({form.format(min(numbers))} to {form.format(max(numbers))})"


if __name__ == "__main__":
    main()
