"""Rollback: an earlier version takes the alias `production` back, by order of an operator."""

from __future__ import annotations

from forecasting.errors import NoSuchModel
from forecasting.registry import PREVIOUS, PRODUCTION, ModelVersion, Registry
from pipelines.promotion import Decision, by_hand
from pipelines.versions import open_version


def roll_back(registry: Registry, name: str, to: str | None, reason: str) -> tuple[ModelVersion, Decision]:
    """Promote the version `to`, or the one that was in production before; return it and the recorded decision.

    A service that follows the registry serves it within seconds. To roll back twice is to be where one was.

    Raises:
        NoSuchModel: there is no such version, none is in production, or none was before; or it is in production.
        CorruptBundle: its bundle cannot be opened; then nothing is moved.
    """
    held = registry.version(name, PRODUCTION)
    ref = held.tags.get(PREVIOUS) if to is None else to
    if ref is None:
        message = f"version {held.version} of {name} took over from no other; name one with --to VERSION"
        raise NoSuchModel(message)
    version = registry.version(name, ref)
    if version.version == held.version:
        message = f"version {held.version} of {name} is in production; name another one (gatecast models {name})"
        raise NoSuchModel(message)
    scorecard = open_version(registry, version).scorecard
    decision = by_hand(reason.strip() or f"rollback from version {held.version}", scorecard)
    registry.promote(version, decision)
    return version, decision
