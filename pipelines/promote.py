"""Promotion by hand: through the gate on the scores the version was registered with, or around it with a reason."""

from __future__ import annotations

from forecasting.registry import Registry
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
        decision = decide(scorecard, champion=None)
    if decision.promote:
        registry.promote(version, decision)
    return decision
