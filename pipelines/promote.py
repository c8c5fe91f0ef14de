"""Promotion by hand: through the gate on the scores the version was registered with, or around it with a reason."""

from __future__ import annotations

import msgspec

from forecasting.errors import NoSuchModel
from forecasting.registry import PRODUCTION, ModelVersion, Registry
from forecasting.scores import Scorecard
from pipelines.promotion import Decision, by_hand, decide
from pipelines.versions import open_version


def promote_version(registry: Registry, name: str, ref: str, forced: str | None) -> Decision:
    """Decide about a version, and move the alias if the decision says so; `forced` is the operator's reason.

    Raises:
        NoSuchModel: there is no such version.
        CorruptBundle: its bundle cannot be opened; it is not promoted, forced or not.
    """
    version = registry.version(name, ref)
    scorecard = open_version(registry, version).scorecard
    if forced is not None:
        decision = by_hand(forced, scorecard)
    elif scorecard is None:
        decision = Decision(promote=False, reason="it was never backtested", by="gate")
    else:
        decision = _by_scores(registry, version, scorecard)
    if decision.promote:
        registry.promote(version, decision)
    return decision


def _by_scores(registry: Registry, version: ModelVersion, scorecard: Scorecard) -> Decision:
    """Decide by the scores a version has; a champion is compared where there are data, when a model is trained."""
    decision = decide(scorecard, champion=None)
    try:
        held = registry.version(version.name, PRODUCTION)
    except NoSuchModel:
        return decision
    if held.version == version.version or not decision.promote:
        return decision
    said = f"{decision.reason}; by order of an operator, not compared with version {held.version}"
    return msgspec.structs.replace(decision, reason=said)
