"""Settings of the pipelines, read once from the environment. Nothing else in this package looks there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from forecasting.errors import SettingsError

if TYPE_CHECKING:
    from forecasting.registry import Registry

KEY = r"[!-~]+"
LONGEST_LEASE = 86_400


@dataclass(frozen=True)
class Settings:
    """Where things are kept. `tracking_uri` None is the embedded store under `home`.

    `auth` is whether the service asks for keys; the service itself checks what it says. `log_url` is the database of
    the observation log, and of leases, which last `lease_seconds` without being renewed; None is files under `home`.
    `url` is where commands find a running service, and `key` what they show it.
    """

    home: Path = Path(".gatecast")
    tracking_uri: str | None = None
    keys_file: Path | None = None
    auth: str = "auto"
    log_url: str | None = field(default=None, repr=False)
    lease_seconds: float = 60.0
    url: str = "http://127.0.0.1:8000"
    key: str | None = field(default=None, repr=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read GATECAST_HOME, _TRACKING_URI (else MLFLOW_TRACKING_URI), _KEYS_FILE, _AUTH, _LOG_URL, _URL, _KEY.

        And GATECAST_LEASE_SECONDS.

        Raises:
            SettingsError: the key is none, or the seconds are no number above 1.
        """
        uri = environ.get("GATECAST_TRACKING_URI") or environ.get("MLFLOW_TRACKING_URI")
        keys = environ.get("GATECAST_KEYS_FILE")
        return cls(
            home=Path(environ.get("GATECAST_HOME") or cls.home),
            tracking_uri=uri or None,
            keys_file=Path(keys) if keys else None,
            auth=environ.get("GATECAST_AUTH") or cls.auth,
            log_url=environ.get("GATECAST_LOG_URL") or None,
            lease_seconds=_seconds(environ.get("GATECAST_LEASE_SECONDS") or str(cls.lease_seconds)),
            url=environ.get("GATECAST_URL") or cls.url,
            key=_key(environ.get("GATECAST_KEY") or ""),
        )

    @property
    def keys_path(self) -> Path:
        """Where the API keys are."""
        return self.keys_file or self.home / "keys.json"

    def registry(self) -> Registry:
        """Return the registry; mlflow is imported now, which takes seconds, and nothing is reached before it is asked.

        Raises:
            RegistryUnavailable: the folder of the embedded store cannot be made.
        """
        from forecasting.registry import Registry, embedded  # noqa: PLC0415 - see above

        return Registry(self.tracking_uri) if self.tracking_uri else Registry(*embedded(self.home))

    def environment(self) -> dict[str, str]:
        """Return the environment for a child process that is to see the same store, whatever ours says."""
        ours = {key: value for key, value in os.environ.items() if not key.endswith("_TRACKING_URI")}
        uri = {"GATECAST_TRACKING_URI": self.tracking_uri} if self.tracking_uri else {}
        return {**ours, "GATECAST_HOME": str(self.home.absolute()), **uri}

    def export(self, **more: str) -> None:
        """Hand the settings, and what else is known, on to a service that is started in this process."""
        wanted = self.environment() | more
        for stale in set(os.environ) - set(wanted):
            del os.environ[stale]
        os.environ.update(wanted)


def _key(text: str) -> str | None:
    """Return a key that can stand in a header; the message of a wrong one does not show it."""
    if text and not re.fullmatch(KEY, text):
        message = "GATECAST_KEY is not shown here; expected a key as `gatecast keys add` prints it, without spaces"
        raise SettingsError(message)
    return text or None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= LONGEST_LEASE:
        message = f"GATECAST_LEASE_SECONDS is {text!r}; expected a number from 1 to {LONGEST_LEASE:,}"
        raise SettingsError(message)
    return seconds
