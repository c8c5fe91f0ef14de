"""Lightning's checkpoints as safetensors: whatever is in such a file, nothing of it can run.

A checkpoint is a tree of dictionaries, lists, numbers and tensors. The tensors are those of the file; the rest is JSON
in its metadata, in which a tensor is named, and a dictionary is a list of pairs, since some of its keys are numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import CheckpointIO
from safetensors import safe_open
from safetensors.torch import save_file

TREE = "tree"


class Safely(CheckpointIO):
    """Writes and reads checkpoints for Lightning."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, *_: Any, **__: Any) -> None:
        """Write a checkpoint."""
        tensors: dict[str, torch.Tensor] = {}
        tree = _plain(checkpoint, tensors)
        save_file(tensors, path, {TREE: json.dumps(tree)})

    def load_checkpoint(self, path: Any, *_: Any, **__: Any) -> dict[str, Any]:
        """Read a checkpoint, to the CPU.

        Raises:
            SafetensorError, OSError, ValueError, KeyError: it is none.
        """
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
            tree = json.loads((file.metadata() or {})[TREE])
        found: dict[str, Any] = _tree(tree, tensors)
        return found

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


def _plain(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return a value as JSON has it; its tensors are put aside, each as a copy: in a file none shares memory."""
    match value:
        case torch.Tensor():
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().clone().contiguous()
            return {"tensor": name}
        case Mapping():
            return {"pairs": [[key, _plain(one, tensors)] for key, one in value.items()]}
        case tuple():
            return {"tuple": [_plain(one, tensors) for one in value]}
        case list():
            return [_plain(one, tensors) for one in value]
        case None | bool() | int() | float() | str():
            return value
    message = f"a checkpoint holds numbers, texts and tensors; {type(value).__name__} came"
    raise TypeError(message)


def _tree(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    match value:
        case {"tensor": str() as name}:
            return tensors[name]
        case {"pairs": list() as pairs}:
            return {key: _tree(one, tensors) for key, one in pairs}
        case {"tuple": list() as parts}:
            return tuple(_tree(one, tensors) for one in parts)
        case list():
            return [_tree(one, tensors) for one in value]
    return value
