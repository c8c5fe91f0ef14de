"""What a registered version remembers, as it was measured when it was registered."""

from __future__ import annotations

import msgspec

from forecasting.errors import NoSuchModel
from forecasting.registry import PRODUCTION, Registry
from forecasting.remembering import Memory
from forecasting.steadiness import Streaming
from pipelines.versions import open_version


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """A version, the sentence about its memory, and what the sentence is made from."""

    model: str
    version: str
    freq: str
    sentence: str
    memory: Memory
    streaming: Streaming | None


def remembered(registry: Registry, model: str) -> Remembered:
    """Read the report of a version, by NAME, NAME@ALIAS or NAME@VERSION; a name alone is the one in production.

    Raises:
        NoSuchModel: there is no such version, or it was registered before memory was measured.
        RegistryError, BundleError: it cannot be reached, or opened.
    """
    name, _, ref = model.partition("@")
    version = registry.version(name, ref or PRODUCTION)
    bundle = open_version(registry, version)
    if bundle.memory is None or bundle.card is None or bundle.card.memory is None:
        message = (
            f"{name} version {version.version} has no memory report: it was registered by a gatecast that made none; "
            "train it again"
        )
        raise NoSuchModel(message)
    return Remembered(
        model=name,
        version=version.version,
        freq=bundle.spec.calendar.freq,
        sentence=bundle.card.memory,
        memory=bundle.memory,
        streaming=bundle.streaming,
    )
