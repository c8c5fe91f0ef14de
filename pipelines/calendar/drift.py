"""Drift as a reason to retrain: told by the ledger, or by the service where its ledger cannot be read from here."""

from __future__ import annotations

import json
import urllib.request

from forecasting.log.interface import Log
from pipelines.logs import open_existing
from pipelines.settings import Settings

ANSWER_SECONDS = 5.0
NOTHING = "none"


class Drift:
    """Counts the streams of a model that drift; the log is opened when it is first there, and kept open."""

    def __init__(self, settings: Settings) -> None:
        """Remember where to look."""
        self._settings = settings
        self._log: Log | None = None

    def streams(self, model: str) -> int:
        """Return how many streams of a model drift; 0 also where there is no ledger and the service does not answer.

        Raises:
            LogUnavailable: the database of the log does not answer.
        """
        self._log = self._log or open_existing(self._settings)
        if self._log is not None:
            return sum(count for code, count in self._log.drifting(model).items() if code)
        return _told(self._settings, model)

    def close(self) -> None:
        """Let go of the log."""
        if self._log is not None:
            self._log.close()


def _told(settings: Settings, model: str) -> int:
    """Ask the service; it need not be there."""
    headers = {"Authorization": f"Bearer {settings.key}"} if settings.key else {}
    request = urllib.request.Request(f"{settings.url}/v1/models/{model}", headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - as the setting says
            found = json.load(answer)["streams"]["drift"] or {}
            return sum(count for what, count in found.items() if what != NOTHING)
    except (OSError, ValueError, KeyError, TypeError):
        return 0
