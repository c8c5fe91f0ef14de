"""The models that are served, as values: which versions, in which slots, and which of them a request means."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from forecasting.bundle import Bundle, Spec
from forecasting.cells import FUSED
from forecasting.engines import Engine, engine_for
from forecasting.log.records import Version
from forecasting.memory.explaining import Explainer
from forecasting.streams.streamed import Streamed
from service.problems import NotReady, UnknownModel
from service.schemas import ModelIdentity

PRODUCTION = "production"


class Slot(NamedTuple):
    """A place for one model: a name, and the alias or version number that says which version of it is served there."""

    name: str
    ref: str = PRODUCTION

    @classmethod
    def parse(cls, text: str) -> Slot:
        """Read NAME or NAME@ALIAS-OR-VERSION."""
        name, _, ref = text.partition("@")
        return cls(name, ref or PRODUCTION)

    @property
    def text(self) -> str:
        """The slot as it is written in settings: `name`, or `name@ref`."""
        return self.name if self.ref == PRODUCTION else f"{self.name}@{self.ref}"


@dataclass(frozen=True)
class ServedRef:
    """A registered version that is to be served."""

    name: str
    version: str
    alias: str | None
    run_id: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the version it is, whatever alias it is found by."""
        return self.name, self.version, self.run_id


@dataclass(frozen=True)
class ServedModel:
    """An open model and the version it is; `replaced` is the contract before, where this version has another one."""

    ref: ServedRef
    bundle: Bundle
    replaced: Spec | None = None

    @cached_property
    def engine(self) -> Engine:
        """What computes its forecasts."""
        return engine_for(self.bundle.forecaster)

    @cached_property
    def streamed(self) -> Streamed:
        """What takes its streams from row to row."""
        ref = self.ref
        return Streamed(Version(ref.name, ref.version, ref.run_id), self.bundle)

    @cached_property
    def explainer(self) -> Explainer:
        """What explains its forecasts; made when it is first asked."""
        columns = self.bundle.spec.columns
        return Explainer(self.bundle.forecaster, columns.targets, columns.targets + columns.past)

    @cached_property
    def quick(self) -> bool:
        """Tell whether a forecast takes about a millisecond: on a CPU, by a cell that takes many rows at once."""
        network = self.bundle.forecaster
        return network.spread.device.type == "cpu" and network.architecture.cell in FUSED

    @cached_property
    def identity(self) -> ModelIdentity:
        """What an answer says about the model that gave it."""
        ref, data_hash = self.ref, self.bundle.spec.provenance.data_hash
        return ModelIdentity(
            name=ref.name, version=ref.version, alias=ref.alias, run_id=ref.run_id, data_hash=data_hash
        )


@dataclass(frozen=True)
class Models:
    """Models by slot; by the text of a slot why what belongs there is not served; and what else is not as it should be.

    `defaults` are the refs meant where a request names none, by model name, where that is not `production`. The models
    of the alias `shadow_ref` run beside those in production and never answer unless asked for.
    """

    served: Mapping[Slot, ServedModel] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    degraded: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    shadow_ref: str | None = None

    def find(self, name: str, ref: str | None = None) -> ServedModel:
        """Return the model of that name, or the one of a loaded alias or version number of it.

        Raises:
            NotReady: it could not be loaded, or nothing could.
            UnknownModel: others are served, and none has that name, or no loaded version of it that ref.
        """
        slot = Slot(name, ref or self.defaults.get(name, PRODUCTION))
        found = self.served.get(slot) or self._by_version(name, ref)
        if found is not None:
            return found
        if not self.served or slot.text in self.refused or (ref is None and self._refuses(name)):
            raise NotReady(self.reasons(slot.text if slot.text in self.refused else name))
        if loaded := [f"{one.ref} (version {model.ref.version})" for one, model in self._of(name)]:
            message = f"that is no version or alias of the model that is loaded; loaded are {', '.join(loaded)}"
            raise UnknownModel(message)
        near = difflib.get_close_matches(name[:128], [one.name for one in self.served], n=1, cutoff=0.0)
        message = f"the nearest name that is served is {near[0]!r}; GET /v1/models lists them"
        raise UnknownModel(message)

    def shadow(self, name: str) -> ServedModel | None:
        """Return the model that runs in the shadow of the one of that name."""
        return None if self.shadow_ref is None else self.served.get(Slot(name, self.shadow_ref))

    def reasons(self, about: str | None = None) -> str:
        """Say why a slot, or a model of any slot, is not served, or why none is."""
        about_it = {text: why for text, why in self.refused.items() if about in {text, Slot.parse(text).name}}
        if len(about_it) == 1:
            return next(iter(about_it.values()))
        said = about_it or {**self.refused, **self.degraded}
        listed = "; ".join(f"{text}: {reason}" for text, reason in sorted(said.items()))
        return listed or "no registered model has the alias production"

    def with_model(self, slot: Slot, model: ServedModel) -> Models:
        """Return them with a model in a slot, and nothing refused there."""
        refused = {text: reason for text, reason in self.refused.items() if text != slot.text}
        return replace(self, served={**self.served, slot: model}, refused=refused)

    def without(self, slot: Slot) -> Models:
        """Return them without a slot."""
        served = {one: model for one, model in self.served.items() if one != slot}
        refused = {text: reason for text, reason in self.refused.items() if text != slot.text}
        return replace(self, served=served, refused=refused)

    def refusing(self, slot: Slot, reason: str | None) -> Models:
        """Return them with what belongs into a slot refused for a reason, or no longer refused."""
        refused = {text: why for text, why in self.refused.items() if text != slot.text}
        return replace(self, refused=refused if reason is None else {**refused, slot.text: reason})

    def _by_version(self, name: str, ref: str | None) -> ServedModel | None:
        fitting = (model for _, model in self._of(name) if ref in {model.ref.version, model.ref.alias})
        return None if ref is None else next(fitting, None)

    def _of(self, name: str) -> Iterator[tuple[Slot, ServedModel]]:
        return ((slot, model) for slot, model in self.served.items() if slot.name == name)

    def _refuses(self, name: str) -> bool:
        return any(Slot.parse(text).name == name for text in self.refused)
