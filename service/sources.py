"""Where models come from: the model registry, asked what each slot points at, and for the bundles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from forecasting.errors import NoSuchModel
from service.models import PRODUCTION, ServedRef, Slot
from service.settings import Settings

if TYPE_CHECKING:
    from forecasting.registry import ModelVersion, Registry


class ModelSource(Protocol):
    """Where models come from. It is asked in a thread, never by two at once."""

    def production(self) -> list[ServedRef]:
        """Return every model that has the alias `production`."""

    def version(self, name: str, ref: str) -> ServedRef:
        """Return the version of a model that an alias or a version number means."""

    def fetch(self, ref: ServedRef, folder: Path) -> Path:
        """Bring the bundle of a version into the folder and return where it lies."""


class RegistrySource:
    """The model registry; mlflow is imported at the first call, which takes seconds."""

    def __init__(self, settings: Settings) -> None:
        """Remember where it is."""
        self._settings = settings

    def production(self) -> list[ServedRef]:
        """Return every model that has the alias `production`."""
        return [_ref(version, PRODUCTION) for version in self._registry.production()]

    def version(self, name: str, ref: str) -> ServedRef:
        """Return the version of a model that an alias or a version number means."""
        version = self._registry.version(name, ref)
        return _ref(version, ref if ref in version.aliases else None)

    def fetch(self, ref: ServedRef, folder: Path) -> Path:
        """Download the bundle of a version."""
        return self._registry.fetch(self._registry.version(ref.name, ref.version), folder)

    @cached_property
    def _registry(self) -> Registry:
        from forecasting.registry import Registry, embedded  # noqa: PLC0415 - see the class

        uri = self._settings.tracking_uri
        return Registry(uri) if uri else Registry(*embedded(self._settings.home))


def look(source: ModelSource, settings: Settings, served: Iterable[Slot]) -> Mapping[Slot, ServedRef | NoSuchModel]:
    """Return what each slot points at now, or that the registry has no such thing.

    The slots are those of the settings, or one for each model in production; and one for the shadow of each model
    that is found or served, where it has one.

    Raises:
        RegistryError: the registry cannot be asked.
    """
    found: dict[Slot, ServedRef | NoSuchModel] = {}
    for slot in map(Slot.parse, settings.models):
        found[slot] = _asked(source, slot)
    if not settings.models:
        found |= {Slot(ref.name): ref for ref in source.production()}
        gone = NoSuchModel("the registry has no version of it in production any longer")
        found |= {slot: gone for slot in served if slot.ref == PRODUCTION and slot not in found}
    if settings.shadow is not None:
        shadows = dict.fromkeys(Slot(slot.name, settings.shadow) for slot in found)
        answers = {slot: _asked(source, slot) for slot in shadows if slot not in found}
        found |= {slot: ref for slot, ref in answers.items() if isinstance(ref, ServedRef)}
    return found


def _asked(source: ModelSource, slot: Slot) -> ServedRef | NoSuchModel:
    try:
        return source.version(*slot)
    except NoSuchModel as error:
        return error


def _ref(version: ModelVersion, alias: str | None) -> ServedRef:
    return ServedRef(version.name, version.version, alias, version.run_id)
