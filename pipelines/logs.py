"""The observation log of a service, as the pipelines read it."""

from __future__ import annotations

from forecasting.log.interface import Log
from forecasting.log.opening import FILE, MEMORY, open_log
from pipelines.settings import Settings


def open_existing(settings: Settings) -> Log | None:
    """Open the log that a service with these settings keeps; None where there is none that another process can read.

    Raises:
        SettingsError: its address is none.
        LogUnavailable: its database does not answer.
    """
    file = settings.home / FILE
    if settings.log_url == MEMORY or (settings.log_url is None and not file.exists()):
        return None
    return open_log(settings.log_url, file)
