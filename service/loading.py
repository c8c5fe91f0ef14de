"""How a slot gets its model: from the registry, or from what is kept on disk. All of it blocks, and runs in threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from forecasting.errors import GatecastError, NoSuchModel
from service.cache import Cache
from service.gate import open_model
from service.models import PRODUCTION, ServedModel, ServedRef, Slot
from service.problems import row_for
from service.settings import Settings
from service.sources import ModelSource, look

UNEXPECTED = "it could not be opened; the log of the service has the details"

log = logging.getLogger(__name__)


class Loaded(NamedTuple):
    """A model that passed the gate, and why it could not be kept on disk, if so."""

    model: ServedModel
    unkept: str | None = None


@dataclass(frozen=True)
class Loader:
    """Where models come from, where they are kept, where they shall run."""

    source: ModelSource
    cache: Cache | None
    settings: Settings
    device: str

    def look(self, served: Iterable[Slot]) -> Mapping[Slot, ServedRef | NoSuchModel]:
        """Return what each slot points at now."""
        return look(self.source, self.settings, served)

    def load(self, slot: Slot, ref: ServedRef, before: ServedModel | None) -> Loaded:
        """Fetch a version and open it beside the one before; keep it if it is good."""
        with TemporaryDirectory(prefix="gatecast-") as scratch:
            folder = self.source.fetch(ref, Path(scratch))
            model = self._open(folder, ref, before)
            return Loaded(model, self._keep(slot, ref, folder))

    def kept(self) -> tuple[dict[Slot, ServedModel], dict[str, str]]:
        """Open the newest good version on disk of every slot that is wanted; return also why others are not good."""
        served: dict[Slot, ServedModel] = {}
        refused: dict[str, str] = {}
        if self.cache is None:
            return served, refused
        for index in self.cache.indexes():
            slot = index.slot
            for entry in index.entries if self._wanted(slot) else ():
                try:
                    served[slot] = self._open(self.cache.bundle(entry), entry.ref(slot.name))
                    break
                except Exception as error:  # noqa: BLE001 - whatever it is, the one before may be good
                    refused[slot.text] = explain(f"{slot.text} version {entry.version} on disk", error)
        return served, refused

    def earlier(self, slot: Slot, sick: ServedModel) -> Loaded | None:
        """Open the version that a slot held before the one that is sick, and make it the one that is kept."""
        if self.cache is None:
            return None
        for entry in self.cache.entries(slot):
            ref = entry.ref(slot.name)
            if ref.key != sick.ref.key:
                model = self._open(self.cache.bundle(entry), ref)
                return Loaded(model, _attempt(slot, partial(self.cache.go_back, slot, entry)))
        return None

    def _open(self, folder: Path, ref: ServedRef, before: ServedModel | None = None) -> ServedModel:
        return open_model(folder, ref, self.device, before, may_change=self.settings.allow_schema_change)

    def _wanted(self, slot: Slot) -> bool:
        """Tell whether a slot that was served once is one by the settings of today."""
        configured = [Slot.parse(text) for text in self.settings.models]
        if configured:
            names = {one.name for one in configured}
            return slot in configured or (slot.ref == self.settings.shadow and slot.name in names)
        return slot.ref in {PRODUCTION, self.settings.shadow}

    def _keep(self, slot: Slot, ref: ServedRef, folder: Path) -> str | None:
        return None if self.cache is None else _attempt(slot, partial(self.cache.keep, slot, ref, folder))


def explain(what: str, error: Exception) -> str:
    """Log why something cannot be served, and return what may be said of it to anyone."""
    if isinstance(error, GatecastError):
        log.error("%s cannot be served: %s", what, error)
        return row_for(error).title
    log.error("%s cannot be served", what, exc_info=error)
    return UNEXPECTED


def _attempt(slot: Slot, change: Callable[[], None]) -> str | None:
    """Change what is kept on disk; return what may be said of why that failed."""
    try:
        change()
    except OSError as error:
        log.warning("%s is served and cannot be kept on disk for the next start: %s", slot.text, error)
        return f"models cannot be kept on disk for the next start: {error.strerror or 'the folder cannot be written'}"
    return None
