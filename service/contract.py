"""What the clients of a model rely on, and whether another version keeps it."""

from __future__ import annotations

from collections.abc import Iterator

from forecasting.bundle import Spec
from service.problems import SchemaChanged


def refuse_changed(before: Spec, now: Spec) -> None:
    """Refuse a version whose contract is not that of the one it would replace.

    Raises:
        SchemaChanged: a request written for the one before could be refused, or its answer misread.
    """
    if changes := list(changes_between(before, now)):
        message = (
            f"the contract of the model changed: {'; '.join(changes)}. Register a version with the old contract, or "
            "start the service with GATECAST_ALLOW_SCHEMA_CHANGE=true"
        )
        raise SchemaChanged(message)


def changes_between(before: Spec, now: Spec) -> Iterator[str]:
    """Return what the clients of the version before cannot rely on any longer, in words."""
    for what, old, new in _terms(before, now):
        if old != new:
            yield f"{what} {_said(old)} became {_said(new)}"
    for name in before.units.keys() & now.units.keys():
        if before.units[name] != now.units[name]:
            yield f"the unit of {name} {before.units[name]!r} became {now.units[name]!r}"
    if now.horizon < before.horizon:
        yield f"the horizon {before.horizon} became {now.horizon}"
    if before.missing and not now.missing:
        yield "missing values are no longer accepted"


def _terms(before: Spec, now: Spec) -> Iterator[tuple[str, object, object]]:
    for role in before.columns.__struct_fields__:
        yield f"the {role} columns", getattr(before.columns, role), getattr(now.columns, role)
    yield "the frequency", before.calendar.freq, now.calendar.freq
    yield "the time zone", before.calendar.timezone, now.calendar.timezone
    yield "that times are needed", before.calendar.width > 0, now.calendar.width > 0
    yield "that there are several series", before.panel, now.panel


def _said(value: object) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)
