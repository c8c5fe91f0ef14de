"""Settings of the service, read once from the environment. Nothing else in this package looks there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from forecasting.errors import SettingsError

DEVICE = r"auto|cpu|mps|cuda(:\d+)?"
REF = r"[A-Za-z0-9._-]+"
MODEL = rf"[A-Za-z0-9][A-Za-z0-9._-]*(@{REF})?"
KEPT = r"[!-~]{16,}"
SECONDS = r"(?=.*[1-9])\d{1,6}(\.\d{1,6})?"


@dataclass(frozen=True)
class Settings:
    """What an operator can set.

    `tracking_uri` None is the embedded store under `home`; `models` (NAME or NAME@ALIAS-OR-VERSION) empty is every
    model with the alias `production`. `shadow` is an alias whose version runs beside production and never answers.
    `webhook_secret` is what MLflow's registry signs its deliveries with; without it they are not taken.
    `log_url` is the database of the observation log, `memory` for none, None for SQLite under `home`; `durability` says
    whether an accepted row survives a loss of power (`full`) or of the process only (`normal`). `stream_cache_bytes` is
    what states of streams may take in memory; `retention_days` 0 keeps all rows. `unsafe_streams` says what becomes of
    streams of a model that is worse streamed than from fresh windows.
    `host` is the address the service is bound to, None where whoever started it did not say. `traces` is the exporter
    that OpenTelemetry's variables ask for.
    """

    home: Path = Path(".gatecast")
    tracking_uri: str | None = None
    models: tuple[str, ...] = ()
    shadow: str | None = None
    poll_seconds: float = 2.0
    allow_schema_change: bool = False
    device: str = "auto"
    implausible: str = "warn"
    max_body_bytes: int = 1_000_000
    max_rows: int = 10_000
    max_windows: int = 256
    max_queue: int = 256
    deadline_seconds: float = 10.0
    receive_seconds: float = 10.0
    streams: bool = True
    log_url: str | None = field(default=None, repr=False)
    durability: str = "full"
    replay_rows: int = 1024
    snapshot_rows: int = 256
    max_gap_rows: int = 1000
    max_streams: int = 1_000_000
    max_pushes: int = 10_000
    max_bulk_bytes: int = 16_000_000
    stream_cache_bytes: int = 1_000_000_000
    retention_days: int = 0
    unsafe_streams: str = "resync"
    host: str | None = None
    auth: str = "auto"
    keys_file: Path | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    access_log: bool = False
    log_format: str = "text"
    traces: str | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the variables GATECAST_*.

        Raises:
            SettingsError: a value is of another form than expected.
        """
        uri = environ.get("GATECAST_TRACKING_URI") or environ.get("MLFLOW_TRACKING_URI")
        keys = environ.get("GATECAST_KEYS_FILE")
        read = _Reader(environ)
        return cls(
            home=Path(environ.get("GATECAST_HOME") or cls.home),
            tracking_uri=uri or None,
            models=read.models("GATECAST_MODELS"),
            shadow=read.matching("GATECAST_SHADOW", "", rf"({REF})?", "an alias, such as candidate") or None,
            poll_seconds=read.seconds("GATECAST_POLL_SECONDS", cls.poll_seconds),
            allow_schema_change=read.switch("GATECAST_ALLOW_SCHEMA_CHANGE", cls.allow_schema_change),
            device=read.matching("GATECAST_DEVICE", cls.device, DEVICE, "auto, cpu, cuda, cuda:N or mps"),
            implausible=read.choice("GATECAST_IMPLAUSIBLE", cls.implausible, "warn", "refuse"),
            max_body_bytes=read.count("GATECAST_MAX_BODY_BYTES", cls.max_body_bytes),
            max_rows=read.count("GATECAST_MAX_ROWS", cls.max_rows),
            max_windows=read.count("GATECAST_MAX_WINDOWS", cls.max_windows),
            max_queue=read.count("GATECAST_MAX_QUEUE", cls.max_queue),
            deadline_seconds=read.seconds("GATECAST_DEADLINE_SECONDS", cls.deadline_seconds),
            receive_seconds=read.seconds("GATECAST_RECEIVE_SECONDS", cls.receive_seconds),
            streams=read.switch("GATECAST_STREAMS", cls.streams),
            log_url=environ.get("GATECAST_LOG_URL") or None,
            durability=read.choice("GATECAST_DURABILITY", cls.durability, "full", "normal"),
            replay_rows=read.count("GATECAST_REPLAY_ROWS", cls.replay_rows),
            snapshot_rows=read.count("GATECAST_SNAPSHOT_ROWS", cls.snapshot_rows),
            max_gap_rows=read.count("GATECAST_MAX_GAP_ROWS", cls.max_gap_rows),
            max_streams=read.count("GATECAST_MAX_STREAMS", cls.max_streams),
            max_pushes=read.count("GATECAST_MAX_PUSHES", cls.max_pushes),
            max_bulk_bytes=read.count("GATECAST_MAX_BULK_BYTES", cls.max_bulk_bytes),
            stream_cache_bytes=read.count("GATECAST_STREAM_CACHE_BYTES", cls.stream_cache_bytes),
            retention_days=read.whole("GATECAST_RETENTION_DAYS", cls.retention_days),
            unsafe_streams=read.choice("GATECAST_UNSAFE_STREAMS", cls.unsafe_streams, "resync", "refuse"),
            host=environ.get("GATECAST_HOST") or None,
            auth=read.choice("GATECAST_AUTH", cls.auth, "auto", "on", "off"),
            keys_file=Path(keys) if keys else None,
            webhook_secret=read.secret("GATECAST_WEBHOOK_SECRET"),
            access_log=read.switch("GATECAST_ACCESS_LOG", cls.access_log),
            log_format=read.choice("GATECAST_LOG_FORMAT", cls.log_format, "text", "json"),
            traces=_exporter(environ),
        )


def _exporter(environ: Mapping[str, str]) -> str | None:
    """Return the exporter of traces that OpenTelemetry's own variables ask for; the rest of them its SDK reads."""
    if (environ.get("OTEL_SDK_DISABLED") or "").lower() == "true":
        return None
    addresses = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    default = "otlp" if any(environ.get(address) for address in addresses) else "none"
    asked = environ.get("OTEL_TRACES_EXPORTER") or default
    return None if asked == "none" else asked


@dataclass(frozen=True)
class _Reader:
    """Variables by the form of their values; the default stands where one is absent or empty."""

    environ: Mapping[str, str]

    def matching(self, variable: str, default: str, pattern: str, expected: str) -> str:
        value = self.environ.get(variable) or default
        if not re.fullmatch(pattern, value):
            message = f"{variable} is {value!r}; expected {expected}"
            raise SettingsError(message)
        return value

    def secret(self, variable: str) -> str | None:
        """Return what must not be shown, so that the message of a wrong one does not either."""
        value = self.environ.get(variable) or None
        if value and not re.fullmatch(KEPT, value):
            message = f"{variable} is not shown here; expected at least 16 letters, digits or signs, without spaces"
            raise SettingsError(message)
        return value

    def models(self, variable: str) -> tuple[str, ...]:
        expected = "names as NAME or NAME@ALIAS or NAME@VERSION, separated by commas"
        text = self.matching(variable, "", rf"(\s*{MODEL}\s*(,|$))*", expected)
        return tuple(name.strip() for name in text.split(",") if name.strip())

    def count(self, variable: str, default: int) -> int:
        return int(self.matching(variable, str(default), r"[1-9]\d{0,17}", "a whole number above 0"))

    def whole(self, variable: str, default: int) -> int:
        return int(self.matching(variable, str(default), r"\d{1,9}", "a whole number, 0 or above"))

    def seconds(self, variable: str, default: float) -> float:
        return float(self.matching(variable, str(default), SECONDS, "seconds above 0, such as 2 or 0.5"))

    def choice(self, variable: str, default: str, *choices: str) -> str:
        return self.matching(variable, default, "|".join(choices), " or ".join(choices))

    def switch(self, variable: str, default: bool) -> bool:
        return self.choice(variable, "true" if default else "false", "true", "false") == "true"
