"""docker-compose.yml as data: read as compose reads it, with its variables filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
COMPOSE, GPU = ROOT / "docker-compose.yml", ROOT / "docker-compose.gpu.yml"
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<how>[-?])(?P<more>[^}]*))?\}")
HOW_TO_FILL = "fill in .env"


def read(path: Path = COMPOSE) -> dict[str, Any]:
    """Read a file as it stands; `<<` is merged by YAML itself."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def examples() -> dict[str, str]:
    """Read what .env.example sets."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))  # type: ignore[misc]


def filled(value: Any, values: Mapping[str, str]) -> Any:
    """Return a value with its variables filled in, as compose does; one that is asked for and empty is an error."""
    if isinstance(value, dict):
        return {key: filled(one, values) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, values) for one in value]
    return VARIABLE.sub(lambda found: _value(found, values), value) if isinstance(value, str) else value


def _value(found: re.Match[str], values: Mapping[str, str]) -> str:
    value = values.get(found["name"], "")
    if not value and found["how"] == "?":
        message = f"{found['name']}: {found['more']}"
        raise LookupError(message)
    return value or found["more"] or ""
