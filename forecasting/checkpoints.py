"""A training that was killed goes on behind its last epoch, and comes to the same weights to the byte.

After each epoch a file holds all that the next one depends on: weights, moments of the optimiser, the patience that is
left, the best weights so far, and where the random numbers are, of dropout and of the order of the sequences. Lightning
keeps its own part; this callback adds ours. A file is written beside the old one and put in its place, so that there is
a whole one at any instant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from safetensors import SafetensorError
from torch.utils.data import DataLoader

from forecasting.checkpointing import Safely
from forecasting.lesson import Epoch, Lesson
from forecasting.sequences import Batch, Sequences

NEW = ".new"


class Kept(Checkpoint):
    """Keeps a lesson in a file, and takes it up from there."""

    state_key = "gatecast"

    def __init__(self, path: Path, lesson: Lesson, loader: DataLoader[Batch]) -> None:
        """`path` is the file of this lesson, in a folder that is there; `loader` loads its `Sequences`."""
        self.path, self.lesson, self.loader = path, lesson, loader
        self.sequences = cast("Sequences", loader.dataset)
        self._dice: dict[str, Any] | None = None

    def found(self) -> dict[str, Any] | None:
        """Return our part of the file, None where there is none to go on from; one that cannot be read is deleted."""
        if not self.path.exists():
            return None
        try:
            ours: dict[str, Any] = Safely().load_checkpoint(self.path)["callbacks"][self.state_key]
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            self.path.unlink(missing_ok=True)
            return None
        return ours

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Write the file, unless somebody wants an end: such an epoch is not whole."""
        if self.lesson.watcher.stopping():
            return
        new = self.path.with_name(self.path.name + NEW)
        trainer.save_checkpoint(new)
        new.replace(self.path)

    def state_dict(self) -> dict[str, Any]:
        """Return our part of the file; `ended` tells that training had come to its end."""
        trainer, lesson = self.lesson.trainer, self.lesson
        return {
            "ended": trainer.should_stop or trainer.current_epoch + 1 >= (trainer.max_epochs or 0),
            "weights": lesson.weights,
            "trust": torch.from_numpy(lesson.trust),
            "epochs": msgspec.to_builtins(lesson.epochs),
            "dice": _dice(self.sequences),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Give the lesson what it had; the dice are put back when the next epoch is about to begin."""
        lesson = self.lesson
        lesson.weights, lesson.trust = state_dict["weights"], state_dict["trust"].numpy()
        lesson.epochs = msgspec.convert(state_dict["epochs"], list[Epoch])
        self._dice = state_dict["dice"]
        for epoch in lesson.epochs[1:]:
            lesson.watcher.epoch(epoch)

    def on_train_start(self, *_: Any) -> None:
        """Put the dice back: whatever was drawn since then belongs to no epoch."""
        if self._dice is not None:
            _put_back(self._dice, self.sequences)
            iter(self.loader)  # draws a seed, as Lightning has it do before every epoch but the one that is resumed


def _dice(sequences: Sequences) -> dict[str, Any]:
    """Return where all random numbers are that a training draws."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"torch": torch.get_rng_state(), "cuda": cuda, "order": sequences.order.bit_generator.state}


def _put_back(dice: dict[str, Any], sequences: Sequences) -> None:
    torch.set_rng_state(dice["torch"])
    if dice["cuda"]:
        torch.cuda.set_rng_state_all(dice["cuda"])
    sequences.order.bit_generator.state = dice["order"]
