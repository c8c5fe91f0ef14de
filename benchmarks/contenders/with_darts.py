"""darts' recurrent models: one model over all columns of all series, each column a series of its own.

`BlockRNNModel` reads 96 rows and says the next, `RNNModel` learns at every row. Hidden size, layers, windows a batch,
steps and early stopping are those of the other peer; the rest is as the library has it.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from darts import TimeSeries  # type: ignore[import-not-found]
from darts.models import BlockRNNModel, RNNModel  # type: ignore[import-not-found]
from pytorch_lightning.callbacks import EarlyStopping

from benchmarks.contenders.exchange import (
    Report,
    Task,
    by_series,
    columns_of,
    read_series,
    read_task,
    timed,
    write_report,
)
from benchmarks.resident import peak_mib

INPUT = 96
BETWEEN_CHECKS, PATIENCE = 50, 5


def main(folder: Path) -> None:
    """Do the task in the folder."""
    task, series = read_task(folder), read_series(folder)
    torch.set_num_threads(task.threads)
    model, fit = timed(lambda: _fitted(task, series))
    notes = f"{model.model.global_step} steps"
    said, forecast = timed(lambda: _said(model, task, series))
    versions = {name: version(name) for name in ("darts", "pytorch-lightning", "torch", "pandas")}
    write_report(folder, Report(fit, forecast, peak_mib(), versions, notes), said)


def _fitted(task: Task, series: list[np.ndarray]) -> Any:
    valid, test = task.valid + task.test, task.test
    model = _model(task)
    model.fit(
        _columns([values[:-valid] for values in series]),
        val_series=_columns([values[-valid - INPUT : -test] for values in series]),
        verbose=False,
    )
    return model


def _model(task: Task) -> Any:
    trainer = {
        "accelerator": "cpu",
        "max_steps": task.steps,
        "val_check_interval": BETWEEN_CHECKS,
        "check_val_every_n_epoch": None,
        "callbacks": [EarlyStopping("val_loss", patience=PATIENCE)],
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    common = {"hidden_dim": 64, "n_rnn_layers": 2, "batch_size": 256, "random_state": task.seed, "model": "LSTM"}
    if task.contender == "darts BlockRNNModel LSTM":
        return BlockRNNModel(INPUT, 1, pl_trainer_kwargs=trainer, **common)
    return RNNModel(INPUT, training_length=INPUT + 1, pl_trainer_kwargs=trainer, **common)


def _said(model: Any, task: Task, series: list[np.ndarray]) -> list[np.ndarray]:
    """Forecast every row of the test part from the rows before it, with the weights as they are."""
    made = model.historical_forecasts(
        _columns(series), forecast_horizon=1, start=-task.test, start_format="position", retrain=False
    )
    return by_series(np.stack([one.values()[:, 0] for one in made]), series)


def _columns(series: list[np.ndarray]) -> list[TimeSeries]:
    return [TimeSeries.from_values(column) for column in columns_of(series)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
