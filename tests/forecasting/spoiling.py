"""Ways to spoil a bundle in a folder, as somebody would who means it: digests are made to fit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from forecasting.bundle import load_bundle
from forecasting.errors import BundleError, CorruptBundle
from forecasting.sealed import MANIFEST


def rewritten(folder: Path, name: str, content: bytes) -> None:
    """Write a file and its digest."""
    (folder / name).write_bytes(content)
    _noted(folder, {name: hashlib.sha256(content).hexdigest()})


def forgotten(folder: Path, name: str) -> None:
    """Leave a file out of the manifest."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    del manifest[name]
    (folder / MANIFEST).write_text(json.dumps(manifest))


def respecified(folder: Path, spec: dict[str, Any], **architecture: Any) -> None:
    """Change keys of spec.json, and of its architecture."""
    found = json.loads((folder / "spec.json").read_bytes())
    changed = {**found, "architecture": {**found["architecture"], **architecture}, **spec}
    rewritten(folder, "spec.json", json.dumps(changed).encode())


def reweighted(folder: Path, name: str, weight: torch.Tensor) -> None:
    """Change a weight, or add one."""
    weights = load_file(folder / "weights.safetensors")
    save_file(weights | {name: weight}, folder / "weights.safetensors")
    rewritten(folder, "weights.safetensors", (folder / "weights.safetensors").read_bytes())


def refused(folder: Path, kind: type[BundleError] = CorruptBundle) -> str:
    """Return what is said where a bundle is not opened."""
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    assert type(caught.value) is kind
    return str(caught.value)


def _noted(folder: Path, digests: dict[str, str]) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(manifest | digests))
