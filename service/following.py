"""Following the registry while serving: one task that asks, loads beside what is served, and switches.

It is never in a hurry and never stops. One round is under way at any time; what fails in it changes nothing that is
served. A switch is one assignment of a new `Models`; a request keeps the model it began with.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from forecasting.errors import GatecastError, NoSuchModel
from service.background import in_background
from service.cache import Cache
from service.loading import Loaded, Loader, explain
from service.models import Models, ServedModel, ServedRef, Slot
from service.patience import Patience, backoff
from service.problems import row_for
from service.rounds import Rounds
from service.settings import Settings
from service.sources import ModelSource
from service.telemetry import Metrics

START_SECONDS = 5.0
"""How long a start without a model on disk waits for the registry before the service answers that it is not ready."""

SETTLED_SECONDS = 1.0
"""After a start with models on disk, how long the registry is left alone: to import its client is seconds of work."""

LONGEST_REGISTRY_SECONDS = 15.0
SICK_ANSWERS = 3
"""Answers that are not finite after which a version makes way for the one before it."""

SICK = "non-finite output"
UNASKED = "it could not be asked; the log of the service has the details"

log = logging.getLogger(__name__)


class _Sick(NamedTuple):
    """A model that answered what is not finite, and how often."""

    model: ServedModel
    answers: int


class Follower:
    """Keeps what is served as the registry says; `publish` is called with every new `Models`."""

    def __init__(
        self,
        source: ModelSource,
        settings: Settings,
        metrics: Metrics,
        publish: Callable[[Models], None],
        cache: Cache | None = None,
    ) -> None:
        """Remember all that; nothing is asked before it runs."""
        self._source, self._settings, self._cache = source, settings, cache
        self._metrics = metrics
        self._publish = publish
        self._patience = Patience(settings.poll_seconds)
        self._sick: dict[Slot, _Sick] = {}
        self._unkept: dict[Slot, str] = {}
        self._unreachable = 0
        self._begun = asyncio.Event()
        self._rounds = Rounds(settings.poll_seconds)
        self.wake = self._rounds.wake  # for whoever hears that the registry has changed
        self._models = _first_models(settings)
        publish(self._models)

    @asynccontextmanager
    async def running(self, device: str) -> AsyncIterator[None]:
        """Follow while the block runs; it begins once there is a model, or the registry has answered or is slow."""
        task = asyncio.create_task(self._run(Loader(self._source, self._cache, self._settings, device)))
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._begun.wait(), START_SECONDS)
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def reload(self) -> Models:
        """Return what came of a round that begins now or later, in which what failed before is tried again.

        Raises:
            NotReady: the service has not started, or is ending.
        """
        await self._rounds.next()
        return self._models

    def sick(self, model: ServedModel) -> None:
        """Note that a model's answer was not finite; after a few such answers the version before it takes its place."""
        for slot, served in self._models.served.items():
            if served is model:
                before = self._sick.get(slot)
                answers = before.answers + 1 if before and before.model is model else 1
                self._sick[slot] = _Sick(model, answers)
                if answers >= SICK_ANSWERS:
                    self._rounds.wake()

    async def _run(self, loader: Loader) -> None:
        try:
            await self._start(loader)
        except Exception:
            log.exception("what is kept on disk cannot be used; the registry is asked")
        pause = min(self._settings.poll_seconds, SETTLED_SECONDS) if self._models.served else 0.0
        await self._rounds.run(partial(self._round, loader), pause)

    async def _start(self, loader: Loader) -> None:
        """Serve what is kept on disk, before the registry is asked."""
        served, refused = await in_background(loader.kept)
        degraded = {} if served else self._models.degraded
        self._say(replace(self._models, served=served, refused=refused, degraded=degraded))
        if served:
            self._begun.set()

    async def _round(self, loader: Loader, asked_for: bool) -> float:
        """Bring what is served to where the registry is; return the seconds until it is asked again."""
        if asked_for:
            self._patience.clear()
        await self._heal(loader)
        try:
            found = await in_background(loader.look, tuple(self._models.served))
        except Exception as error:  # noqa: BLE001 - whatever it is, what is served is served on
            self._lose_registry(error)
        else:
            self._unreachable = 0
            self._metrics.registry_up.set(1)
            for slot, ref in found.items():
                if isinstance(ref, NoSuchModel):
                    self._miss(slot, ref)
                elif self._is_due(slot, ref, asked_for):
                    await self._load(loader, slot, ref)
            self._tidy(found)
        self._begun.set()
        return backoff(self._settings.poll_seconds, self._unreachable, LONGEST_REGISTRY_SECONDS)

    def _is_due(self, slot: Slot, ref: ServedRef, asked_for: bool) -> bool:
        """Tell whether a version is to be loaded now; one that has failed waits for its turn."""
        served = self._models.served.get(slot)
        if served and served.ref.key == ref.key:
            self._patience.over(slot)
            self._say(self._models.refusing(slot, None))
            return asked_for and slot in self._unkept
        return not self._patience.waits(slot, ref, asyncio.get_running_loop().time())

    async def _load(self, loader: Loader, slot: Slot, ref: ServedRef) -> None:
        began = time.perf_counter()
        try:
            loaded = await in_background(loader.load, slot, ref, self._models.served.get(slot))
        except Exception as error:  # noqa: BLE001 - whatever it is, what is served is served on
            self._fail(slot, ref, error)
        else:
            self._metrics.load_seconds.observe(time.perf_counter() - began)
            self._patience.over(slot)
            self._put(slot, loaded)

    def _put(self, slot: Slot, loaded: Loaded, refused: str | None = None) -> None:
        """Switch a slot to another model."""
        if slot in self._models.served:
            self._metrics.swaps.labels(slot.name).inc()
        self._unkept.pop(slot, None)
        if loaded.unkept:
            self._unkept[slot] = loaded.unkept
        self._switch(self._models.with_model(slot, loaded.model).refusing(slot, refused))
        log.info("serving %s version %s", slot.text, loaded.model.ref.version)

    def _fail(self, slot: Slot, ref: ServedRef, error: Exception) -> None:
        self._patience.failed(slot, ref, asyncio.get_running_loop().time())
        self._metrics.reload_failures.labels(row_for(error).code).inc()
        self._say(self._models.refusing(slot, explain(f"{slot.text} version {ref.version}", error)))

    def _miss(self, slot: Slot, error: NoSuchModel) -> None:
        """Note that the registry has no such thing; what is served of it is served on, see `_tidy`."""
        if slot not in self._models.served and slot.text not in self._models.refused:
            self._say(self._models.refusing(slot, explain(slot.text, error)))

    async def _heal(self, loader: Loader) -> None:
        """Let the version before take the place of one whose answers are not finite."""
        due = {slot: sick.model for slot, sick in self._sick.items() if sick.answers >= SICK_ANSWERS}
        for slot, model in due.items():
            del self._sick[slot]
            if self._models.served.get(slot) is model:
                earlier = await in_background(loader.earlier, slot, model)
                log.error(
                    "%s version %s answers what is not finite; %s", slot.text, model.ref.version,
                    f"version {earlier.model.ref.version} takes its place" if earlier else "there is no version before",
                )  # fmt: skip
                if earlier:
                    self._patience.given_up(slot, model.ref)
                    self._put(slot, earlier, refused=SICK)

    def _lose_registry(self, error: Exception) -> None:
        self._unreachable += 1
        self._metrics.registry_up.set(0)
        reason = row_for(error).title if isinstance(error, GatecastError) else UNASKED
        if self._models.degraded.get("registry") != reason:
            log.error("%s", error, exc_info=None if isinstance(error, GatecastError) else error)
        self._say(replace(self._models, degraded={**self._cache_state(), "registry": reason}))

    def _tidy(self, found: Mapping[Slot, ServedRef | NoSuchModel]) -> None:
        """Let go of shadows that are no more, and say what is served without being in the registry any longer."""
        models, known = self._models, {slot.text for slot in found}
        for slot in models.served:
            if slot not in found:
                models = models.without(slot)
        gone = _gone(models, found)
        for text in gone.keys() - models.degraded.keys():
            log.warning("%s: %s", text, gone[text])
        refused = {text: reason for text, reason in models.refused.items() if text in known}
        self._say(replace(models, refused=refused, degraded={**gone, **self._cache_state()}))

    def _cache_state(self) -> dict[str, str]:
        return {"cache": next(iter(self._unkept.values()))} if self._unkept else {}

    def _say(self, models: Models) -> None:
        """Switch, if that says something else than before."""
        if _said(models) != _said(self._models):
            self._switch(models)

    def _switch(self, models: Models) -> None:
        self._models = models
        self._publish(models)


def _first_models(settings: Settings) -> Models:
    """Return what is served before anything is opened: nothing."""
    slots = [Slot.parse(text) for text in settings.models]
    defaults = {slot.name: slot.ref for slot in reversed(slots) if Slot(slot.name) not in slots}
    return Models(degraded={"start": "the models are being opened"}, defaults=defaults, shadow_ref=settings.shadow)


def _gone(models: Models, found: Mapping[Slot, ServedRef | NoSuchModel]) -> dict[str, str]:
    return {
        slot.text: f"the registry has it no longer; version {models.served[slot].ref.version} is served on"
        for slot, ref in found.items()
        if isinstance(ref, NoSuchModel) and slot in models.served
    }


def _said(models: Models) -> tuple[object, ...]:
    return models.refused, models.degraded, set(models.served)
