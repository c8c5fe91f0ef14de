"""All pages of what MLflow finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def pages_of(search: Callable[[str | None], Any]) -> list[Any]:
    """Return everything; `search` is asked with the token of each page."""
    found, token = [], None
    while True:
        page = search(token)
        found.extend(page)
        token = page.token
        if not token:
            return found
