"""`gatecast keys`: who may use the service. The file is `forecasting/keys.py`'s; a service that runs reads it again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from forecasting.keys import Key, Scope, add_key, make_key, read_keys, remove_key
from pipelines.settings import Settings


def add(settings: Settings, principal: str, scopes: Sequence[Scope]) -> tuple[Key, str]:
    """Make a key for somebody; return what is kept of it, and the key itself, which is kept nowhere."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    key, secret = make_key(principal, scopes, now)
    add_key(settings.keys_path, key)
    return key, secret


def held(settings: Settings) -> Sequence[Key]:
    """Return all keys."""
    return read_keys(settings.keys_path)


def remove(settings: Settings, name: str) -> Key:
    """Take the key of that id away, and return it."""
    return remove_key(settings.keys_path, name)


def shown(key: Key) -> dict[str, object]:
    """Return what may be shown of a key; its hash is nobody's business."""
    return {"id": key.id, "principal": key.principal, "scopes": key.scopes, "created": key.created}


def show(keys: Sequence[Key], path: Path, console: Console) -> None:
    """Print who holds a key, and what for."""
    if not keys:
        console.print(f"{path} has no keys; make one with: gatecast keys add NAME", markup=False, soft_wrap=True)
        return
    table = Table("id", "principal", "scopes", "created")
    for key in keys:
        table.add_row(key.id, key.principal, ", ".join(key.scopes), key.created)
    console.print(table)
