"""A registry of folders, turned by hand: its aliases move, its versions go, it is silent when it is told to be."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from forecasting.bundle import Bundle, save_bundle
from forecasting.errors import NoSuchModel, RegistryUnavailable
from service.models import PRODUCTION, ServedRef


class Shelf:
    """Versions of models in folders, and the aliases that point at them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.aliases: dict[str, dict[str, str]] = {}
        self.silent = False
        self.fetched: list[str] = []
        self.at_once = self.most_at_once = 0
        self.before_fetch: Callable[[ServedRef], None] = lambda _: None
        self._lock = threading.Lock()

    def put(self, bundle: Bundle, alias: str | None = PRODUCTION, name: str = "tiny") -> Path:
        """Register another version, and let an alias point at it; return where it lies."""
        folder = self.root / name / str(1 + len(list((self.root / name).glob("*"))))
        save_bundle(bundle, folder)
        aliases = self.aliases.setdefault(name, {})
        if alias:
            aliases[alias] = folder.name
        return folder

    def point(self, version: str, alias: str = PRODUCTION, name: str = "tiny") -> None:
        self.aliases[name][alias] = version

    def production(self) -> list[ServedRef]:
        self._answer()
        return [self._ref(name, PRODUCTION) for name, held in self.aliases.items() if PRODUCTION in held]

    def version(self, name: str, ref: str) -> ServedRef:
        self._answer()
        return self._ref(name, ref)

    def fetch(self, ref: ServedRef, folder: Path) -> Path:
        self._answer()
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            self.fetched.append(ref.version)
            self.before_fetch(ref)
            return Path(shutil.copytree(self.root / ref.name / ref.version, folder / "bundle"))
        finally:
            self.at_once -= 1

    def _ref(self, name: str, ref: str) -> ServedRef:
        held = self.aliases.get(name, {})
        version = held.get(ref, ref)
        if not (self.root / name / version).is_dir():
            message = f"there is no {name}@{ref}"
            raise NoSuchModel(message)
        return ServedRef(name, version, ref if ref in held else None, f"run-{version}")

    def _answer(self) -> None:
        if self.silent:
            message = "postgresql://user:secret@host does not answer"
            raise RegistryUnavailable(message)
