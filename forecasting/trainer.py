"""A lesson, run by Lightning: on which device, in how many threads, from which sequences."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch.utils.data import DataLoader

from forecasting.checkpointing import Safely
from forecasting.checkpoints import Kept
from forecasting.lesson import Lesson
from forecasting.members import Architecture
from forecasting.project import Project
from forecasting.scaled import ScaledSeries
from forecasting.sections import TrainSection
from forecasting.sequences import SMALLEST, Sequences, Shape


def shape_of(train: TrainSection, architecture: Architecture) -> Shape:
    """Return the shape of a batch; a sequence counts once for each target where these are seen alone, at half price."""
    folds = architecture.folds
    batch = train.batch if folds == 1 else max(2 * train.batch // folds, SMALLEST)
    return Shape(batch, train.burn_in, train.length, architecture.horizon, prior=architecture.lags)


def run(lesson: Lesson, project: Project, panel: Sequence[ScaledSeries], file: Path | None = None) -> None:
    """Train until it no longer helps, or the watcher asks for an end; the lesson keeps the best weights.

    `file` is where each epoch is kept; where there is one already, training goes on from there.
    """
    train = project.train
    shape = shape_of(train, lesson.forecaster.architecture)
    sequences = Sequences(panel, shape, train.steps_per_epoch, train.seed)
    lesson.burn_in = sequences.shape.burn_in
    loader, device = DataLoader(sequences, batch_size=None), _device(train.device)
    kept = None if file is None else Kept(file, lesson, loader)
    there = kept.found() if kept else None
    if kept and there and there["ended"]:
        kept.load_state_dict(there)
        return
    # a thread that is not told so lets each operation run on all cores, and waits there for other processes
    pool = ThreadPoolExecutor(train.threads, initializer=torch.set_num_threads, initargs=(1,))
    with _quiet_lightning(), pool as threads:
        lesson.each = threads.map if device["accelerator"] == "cpu" and _side_by_side(project) else map
        _trainer(train, device, kept).fit(lesson, loader, ckpt_path=file if there else None)


def _trainer(train: TrainSection, device: dict[str, Any], kept: Kept | None) -> pl.Trainer:
    patience = EarlyStopping("objective", patience=train.patience, check_on_train_epoch_end=True)
    return pl.Trainer(
        **device,
        max_epochs=train.epochs,
        callbacks=[patience, *([kept] if kept else [])],
        plugins=[Safely()],
        logger=False,
        enable_checkpointing=kept is not None,
        enable_model_summary=False,
        enable_progress_bar=False,
    )


def _side_by_side(project: Project) -> bool:
    """Tell whether members run side by side; not where dropout between layers would draw in another order each time.

    One at a time they need no thread of their own: memory that other threads ask for is given back and asked for again.
    """
    repeatable = project.model.layers == 1 or not project.model.dropout
    return repeatable and project.train.threads > 1


def _device(device: str) -> dict[str, Any]:
    """Translate `auto | cpu | cuda | cuda:N | mps` to Lightning's words; auto takes CUDA where it is."""
    kind, _, number = device.partition(":")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    return {"accelerator": {"cuda": "gpu"}.get(kind, kind), "devices": [int(number or 0)] if kind == "cuda" else 1}


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's hints about hardware, workers and loggers out of a user's terminal; its errors still come."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning")
        try:
            yield
        finally:
            logger.setLevel(level)
