"""Open a registered version."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from forecasting.bundle import Bundle, load_bundle
from forecasting.registry import ModelVersion, Registry


def open_version(registry: Registry, version: ModelVersion) -> Bundle:
    """Download the bundle of a version and open it; no file of it is left behind.

    Raises:
        CorruptBundle: it is not whole, or not there.
        IncompatibleBundle: it was written in a format that is not read here.
    """
    with TemporaryDirectory() as scratch:
        return load_bundle(registry.fetch(version, Path(scratch)))
