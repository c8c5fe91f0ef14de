"""neuralforecast's LSTM and GRU: one model over all columns of all series, each column a series of its own.

Hidden size 64, 96 rows of input, 256 windows a batch, early stopping on the validation rows, and squared error, since
that is what is scored; the rest is as the library has it.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from neuralforecast import NeuralForecast  # type: ignore[import-not-found]
from neuralforecast.losses.pytorch import MSE  # type: ignore[import-not-found]
from neuralforecast.models import GRU, LSTM  # type: ignore[import-not-found]

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

MODELS = {"neuralforecast LSTM": LSTM, "neuralforecast GRU": GRU}
BETWEEN_CHECKS, PATIENCE = 50, 5


def main(folder: Path) -> None:
    """Do the task in the folder."""
    task, series = read_task(folder), read_series(folder)
    torch.set_num_threads(task.threads)
    known = [values[: -task.test] for values in series]
    fitted, fit = timed(lambda: _fitted(task, known))
    notes = f"{fitted.models[0].train_trajectories[-1][0] + 1} steps"
    said, forecast = timed(lambda: _said(fitted, task, series))
    versions = {name: version(name) for name in ("neuralforecast", "pytorch-lightning", "torch", "pandas")}
    write_report(folder, Report(fit, forecast, peak_mib(), versions, notes), said)


def _fitted(task: Task, series: list[np.ndarray]) -> NeuralForecast:
    model = MODELS[task.contender](
        h=1,
        input_size=96,
        encoder_hidden_size=64,
        windows_batch_size=256,
        loss=MSE(),
        max_steps=task.steps,
        val_check_steps=BETWEEN_CHECKS,
        early_stop_patience_steps=PATIENCE,
        random_seed=task.seed,
        alias="said",
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    forecaster = NeuralForecast(models=[model], freq=1)
    forecaster.fit(_long(series), val_size=task.valid)
    return forecaster


def _said(fitted: NeuralForecast, task: Task, series: list[np.ndarray]) -> list[np.ndarray]:
    """Forecast every row of the test part from the rows before it, with the weights as they are."""
    frame = fitted.cross_validation(
        _long(series), n_windows=None, test_size=task.test, step_size=1, use_fitted=True
    ).sort_values(["unique_id", "ds"])
    return by_series(frame["said"].to_numpy().reshape(-1, task.test), series)


def _long(series: list[np.ndarray]) -> pd.DataFrame:
    return pd.concat(
        pd.DataFrame({"unique_id": number, "ds": np.arange(len(column)), "y": column})
        for number, column in enumerate(columns_of(series))
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
