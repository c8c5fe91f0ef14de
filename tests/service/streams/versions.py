"""Two versions of a model, which say something else, and a registry of them."""

from __future__ import annotations

from pathlib import Path

from forecasting.bundle import save_bundle
from forecasting.log.records import Version
from forecasting.streams.streamed import Streamed
from tests.bundles import make_bundle
from tests.service.live import Turned

BUNDLES = {version: make_bundle(seed=place) for place, version in enumerate(("1", "2"))}
MODELS = {version: Streamed(Version("tiny", version, f"run-{version}"), one) for version, one in BUNDLES.items()}


def registry(folder: Path) -> Turned:
    """Save them, with version 1 in production."""
    source = Turned(folder)
    for version, bundle in BUNDLES.items():
        save_bundle(bundle, source.folder / version)
    source.turn("1")
    return source
