"""Settings of the service, read once from the environment. Nothing else in this package looks there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forecasting.errors import SettingsError

DEVICE = r"auto|cpu|mps|cuda(:\d+)?"
MODEL = r"[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9._-]+)?"


@dataclass(frozen=True)
class Settings:
    """What an operator can set.

    `tracking_uri` None is the embedded store under `home`; `models` (NAME or NAME@ALIAS-OR-VERSION) empty is every
    model with the alias `production`.
    """

    home: Path = Path(".gatecast")
    tracking_uri: str | None = None
    models: tuple[str, ...] = ()
    device: str = "auto"
    max_body_bytes: int = 4_000_000
    max_rows: int = 10_000
    max_windows: int = 256

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the variables GATECAST_*.

        Raises:
            SettingsError: a value is of another form than expected.
        """
        uri = environ.get("GATECAST_TRACKING_URI") or environ.get("MLFLOW_TRACKING_URI")
        return cls(
            home=Path(environ.get("GATECAST_HOME") or cls.home),
            tracking_uri=uri or None,
            models=_models(environ),
            device=_matching(environ, "GATECAST_DEVICE", cls.device, DEVICE, "auto, cpu, cuda, cuda:N or mps"),
            max_body_bytes=_count(environ, "GATECAST_MAX_BODY_BYTES", cls.max_body_bytes),
            max_rows=_count(environ, "GATECAST_MAX_ROWS", cls.max_rows),
            max_windows=_count(environ, "GATECAST_MAX_WINDOWS", cls.max_windows),
        )


def _models(environ: Mapping[str, str]) -> tuple[str, ...]:
    expected = "names as NAME or NAME@ALIAS or NAME@VERSION, separated by commas"
    text = _matching(environ, "GATECAST_MODELS", "", rf"(\s*{MODEL}\s*(,|$))*", expected)
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _count(environ: Mapping[str, str], variable: str, default: int) -> int:
    return int(_matching(environ, variable, str(default), r"[1-9]\d{0,17}", "a whole number above 0"))


def _matching(environ: Mapping[str, str], variable: str, default: str, pattern: str, expected: str) -> str:
    """Return the value of a variable, the default where it is absent or empty."""
    value = environ.get(variable) or default
    if not re.fullmatch(pattern, value):
        message = f"{variable} is {value!r}; expected {expected}"
        raise SettingsError(message)
    return value
