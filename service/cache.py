"""The last models that served well, kept on disk: what a service starts from that cannot reach its registry.

    served/<slot>.json               which versions the slot held, the newest first, and the sha256 of their manifests
    served/<slot>-<version>-<run>/   their bundles

<slot> and <run> are digests; that of the slot is made from the registry's address, too, so that models of another
registry are not found. Several services may share the folder: everything gets its name by one atomic renaming, and a
bundle that another one has pruned is a bundle that is not there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import msgspec

from forecasting.errors import AlteredBundle, CorruptBundle
from forecasting.sealed import MANIFEST, digest
from service.models import ServedRef, Slot
from service.settings import Settings

KEPT = 2
"""Versions of a slot that are kept: the one that serves, and the one before."""

DIGITS = 16
TEMPORARY = ".new-"
LONG_SECONDS = 3600


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A version that a slot held."""

    version: str
    alias: str | None
    run_id: str
    folder: str
    manifest: str

    def ref(self, name: str) -> ServedRef:
        """Return the version it is."""
        return ServedRef(name, self.version, self.alias, self.run_id)


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot held, the newest first; `registry` is the sha256 of the registry's address."""

    registry: str
    name: str
    ref: str
    entries: tuple[Entry, ...]

    @property
    def slot(self) -> Slot:
        """The slot it is about."""
        return Slot(self.name, self.ref)


@dataclass(frozen=True)
class Cache:
    """Bundles by slot in a folder; the state is all on disk."""

    folder: Path
    registry: str

    @classmethod
    def of(cls, settings: Settings) -> Cache:
        """Return the cache of a service."""
        home = settings.home.expanduser().absolute()
        return cls(home / "served", digest((settings.tracking_uri or str(home)).encode()))

    def indexes(self) -> list[Index]:
        """Return what is kept of this registry's models; what cannot be read is not there."""
        with suppress(OSError):
            found = [self._read(path) for path in sorted(self.folder.glob("*.json"))]
            return [index for index in found if index and index.registry == self.registry]
        return []

    def entries(self, slot: Slot) -> tuple[Entry, ...]:
        """Return the versions kept of a slot, the newest first."""
        index = self._read(self._path(slot))
        return index.entries if index and index.registry == self.registry else ()

    def bundle(self, entry: Entry) -> Path:
        """Return where the bundle of an entry lies.

        Raises:
            AlteredBundle: its manifest is not the one that was kept.
            CorruptBundle: it is not there.
        """
        folder = self.folder / entry.folder
        try:
            kept = (folder / MANIFEST).read_bytes()
        except OSError as error:
            message = f"{folder} cannot be read ({error.strerror}); the bundle is fetched anew from the registry"
            raise CorruptBundle(message) from error
        if digest(kept) != entry.manifest:
            message = f"{MANIFEST} in {folder} is not the one that was kept; the bundle is fetched anew"
            raise AlteredBundle(message)
        return folder

    def keep(self, slot: Slot, ref: ServedRef, bundle: Path) -> None:
        """Copy the bundle that a slot holds from now on; the one it held before is kept, older ones are not.

        Raises:
            OSError: the folder cannot be written, or is full; then what was kept stays.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        manifest = digest((bundle / MANIFEST).read_bytes())
        folder = f"{self._key(slot)}-{ref.version}-{digest(f'{ref.run_id} {manifest}'.encode())[:DIGITS]}"
        with self._new() as new:
            shutil.copytree(bundle, new)
            _put_folder(new, self.folder / folder)
        entry = Entry(version=ref.version, alias=ref.alias, run_id=ref.run_id, folder=folder, manifest=manifest)
        others = [one for one in self.entries(slot) if one.folder != folder]
        self._write(slot, (entry, *others)[:KEPT])

    def go_back(self, slot: Slot, entry: Entry) -> None:
        """Make an entry the one that a slot holds, and forget the others.

        Raises:
            OSError: the folder cannot be written.
        """
        self._write(slot, (entry,))

    def _write(self, slot: Slot, entries: tuple[Entry, ...]) -> None:
        """Write the index of a slot and remove the bundles that it no longer names."""
        index = Index(registry=self.registry, name=slot.name, ref=slot.ref, entries=entries)
        with self._new() as new:
            new.write_bytes(msgspec.json.format(msgspec.json.encode(index), indent=1))
            new.replace(self._path(slot))
        named = {entry.folder for entry in entries}
        for path in self.folder.glob(f"{self._key(slot)}-*"):
            if path.name not in named:
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _new(self) -> Iterator[Path]:
        """Return a name that nobody else has; what has it at the end is removed."""
        path = self.folder / f"{TEMPORARY}{uuid4().hex}"
        try:
            yield path
        finally:
            _remove(path)

    def _sweep(self) -> None:
        """Remove what processes that were killed have left behind."""
        for path in self.folder.glob(f"{TEMPORARY}*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > LONG_SECONDS:
                    _remove(path)

    def _read(self, path: Path) -> Index | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Index)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _path(self, slot: Slot) -> Path:
        return self.folder / f"{self._key(slot)}.json"

    def _key(self, slot: Slot) -> str:
        return digest(msgspec.json.encode((self.registry, *slot)))[:DIGITS]


def _put_folder(new: Path, place: Path) -> None:
    """Rename a folder; what has the name already, and may be spoilt since, makes way.

    The name says what is in it: where another service was quicker, its copy will do.
    """
    old = new.with_name(f"{new.name}-old")
    with suppress(FileNotFoundError):
        place.rename(old)
    try:
        new.rename(place)
    except OSError:
        if not place.exists():
            raise
    finally:
        _remove(old)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)
