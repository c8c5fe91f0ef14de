"""A registered version, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as Entity


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a registered model; `created` in RFC 3339, UTC. `run_id` is empty where no run made it."""

    name: str
    version: str
    run_id: str
    aliases: tuple[str, ...]
    created: str
    tags: dict[str, str]


def version_from(entity: Entity) -> ModelVersion:
    """Return the value of what mlflow answered."""
    created = datetime.fromtimestamp(entity.creation_timestamp / 1000, UTC)
    return ModelVersion(
        name=entity.name,
        version=str(entity.version),
        run_id=entity.run_id or "",
        aliases=tuple(sorted(entity.aliases)),
        created=created.isoformat(timespec="seconds").replace("+00:00", "Z"),
        tags=dict(entity.tags),
    )


def with_aliases(version: ModelVersion, aliases: Mapping[str, str]) -> ModelVersion:
    """Fill in what mlflow's search leaves out."""
    held = tuple(sorted(alias for alias, number in aliases.items() if number == version.version))
    return msgspec.structs.replace(version, aliases=held)
