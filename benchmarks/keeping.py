"""How keep gates should begin for forecasting: each way for several seeds, judged on validation rows.

`python -m benchmarks.keeping [PROJECT.toml ...]`; without a project, the demo panel.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.accuracy import Nobody
from benchmarks.data import demo_project
from benchmarks.publishing import Table, publish
from forecasting.assembly import Prepared, lookback_of, prepare
from forecasting.memory import measure_memory
from forecasting.project import Project, load_project
from forecasting.reading import read_panel
from forecasting.settling import measure_streaming
from forecasting.training import fit

SEEDS = (0, 1, 2)
BEGINS = ("default", "one", "chrono(24)", "chrono(168)")


class Judged(NamedTuple):
    """Of one training: errors relative to the linear road's, the streamed ratio, reaches in rows, seconds."""

    objective: float
    mse: float
    mae: float
    ratio: float
    reach: float
    seconds: float


def main() -> None:
    """Measure the projects named on the command line, or the demo."""
    for project in [load_project(Path(name)) for name in sys.argv[1:]] or [demo_project()]:
        panel, _ = read_panel(project)
        prepared = prepare(panel, project)
        rows = []
        for begin in BEGINS:
            judged = [_judged(_begun(project, begin, seed), prepared) for seed in SEEDS]
            rows.append((begin, *(_spread([one[place] for one in judged]) for place in range(len(Judged._fields)))))
        model = project.model
        what = f"{project.name}: {model.cell} {model.layers} x {model.hidden}, horizon {model.horizon}."
        head = ("keep_bias", "objective", "mse", "mae", "streamed ratio", "network's reach, rows", "training, s")
        note = (
            "Of the best epoch, relative to the linear road alone: below 1 is better. `objective` is what training "
            f"chooses by. Means of seeds {', '.join(map(str, SEEDS))} (least to largest)."
        )
        publish(f"keeping-{project.name}", what, [Table("How keep gates begin", head, rows, note)])


def _begun(project: Project, begin: str, seed: int) -> Project:
    train = msgspec.structs.replace(project.train, keep_bias=begin, seed=seed, device="cpu")
    return msgspec.structs.replace(project, train=train)


def _judged(project: Project, prepared: Prepared) -> Judged:
    start = time.perf_counter()
    fitted = fit(project, prepared.series, Nobody())
    seconds, best = time.perf_counter() - start, fitted.best
    floor = next(epoch for epoch in fitted.epochs if epoch.channels == best.channels)
    window = lookback_of(project, fitted.forecaster.architecture)
    streaming = measure_streaming(fitted.forecaster, prepared.series, window)
    memory = measure_memory(fitted.forecaster, prepared.series, 2 * window)
    return Judged(
        objective=best.objective,
        mse=best.valid_mse_z / floor.valid_mse_z,
        mae=best.valid_mae_z / floor.valid_mae_z,
        ratio=streaming.ratio or 1.0,
        reach=float(memory.recurrent.most if memory else 0),
        seconds=seconds,
    )


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.4g} ({min(values):.4g} to {max(values):.4g})"


if __name__ == "__main__":
    main()
