"""Files under seal: a folder whose manifest.json holds the sha256 of every other file, and nothing that could run.

Only JSON and safetensors are read. Whatever else lies in the folder, or stands in its manifest, is a reason to refuse
all of it, and is never opened.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from forecasting.errors import AlteredBundle, CorruptBundle

MANIFEST = "manifest.json"
PLAIN = re.compile(r"[A-Za-z0-9._-]+\.(json|safetensors)")


def write_sealed(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a folder; the manifest comes last, so that half of them have none."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    manifest = {name: digest(content) for name, content in files.items()}
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def read_sealed(folder: Path, required: frozenset[str]) -> dict[str, bytes]:
    """Return the files by name, after every one has proved to be the one that was written.

    Raises:
        AlteredBundle: a file has another digest than the manifest says.
        CorruptBundle: a file is missing, is not named in the manifest, or is none that a bundle may hold.
    """
    manifest = _manifest(folder)
    if lacking := sorted(required - set(manifest)):
        message = f"{MANIFEST} of {folder} does not name {lacking[0]}; the bundle is not whole: register it again"
        raise CorruptBundle(message)
    if strange := sorted(name for name in manifest if not PLAIN.fullmatch(name)):
        message = f"{MANIFEST} of {folder} names {strange[0]!r}, which is no file of a bundle; register it again"
        raise CorruptBundle(message)
    _refuse_strangers(folder, frozenset({*manifest, MANIFEST}))
    files = {name: _read(folder, name) for name in sorted(manifest)}
    for name, content in files.items():
        if digest(content) != manifest[name]:
            message = f"{name} in {folder} is not the file that was registered (its sha256 differs from the manifest's)"
            raise AlteredBundle(message)
    return files


def digest(content: bytes) -> str:
    """Return the sha256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _manifest(folder: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(_read(folder, MANIFEST), type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"{MANIFEST} of the bundle cannot be read: {error}"
        raise CorruptBundle(message) from error


def _refuse_strangers(folder: Path, named: frozenset[str]) -> None:
    """Refuse what the manifest does not name, and what is no ordinary file: a pipe would keep its reader waiting."""
    with os.scandir(folder) as entries:
        strange = sorted(one.name for one in entries if one.name not in named or not one.is_file())
    if strange:
        message = f"{folder} holds {strange[0][:100]!r}, which is no file that its {MANIFEST} names; it was not opened"
        raise CorruptBundle(message)


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        message = f"{folder} is no whole bundle: {name} cannot be read ({error.strerror})"
        raise CorruptBundle(message) from error
