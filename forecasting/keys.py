"""The file of API keys: its format, how a key is made and hashed, and how one that is presented is checked.

The service reads the file and the command line writes it; neither knows the other. A key is shown once, and
never stored.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from forecasting.errors import SettingsError

Scope = Literal["forecast", "stream", "admin"]
SCOPES: tuple[Scope, ...] = ("forecast", "stream", "admin")
PRINCIPAL = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
ANONYMOUS = "anonymous"
"""Who calls without a key, where none is asked for."""

RANDOM_BYTES = 32
FILE_MODE = 0o600


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a key.

    Plain SHA-256 is enough: slow hashes protect passwords, which can be guessed. 256 random bits cannot, and a slow
    hash would be paid for by every request.
    """

    id: Annotated[str, Meta(pattern="^[0-9a-f]{8}$")]
    principal: Annotated[str, Meta(pattern=PRINCIPAL)]
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    created: str

    def allows(self, scope: str) -> bool:
        """Tell whether the key has a scope; `admin` has all of them, and the empty one is had by any key."""
        return not scope or scope in self.scopes or "admin" in self.scopes


def make_key(principal: str, scopes: Sequence[Scope], created: str) -> tuple[Key, str]:
    """Return what to keep of a new key, and the key itself: `gc_<id>_<43 random characters>`.

    Raises:
        SettingsError: nobody can have that name.
    """
    if not re.fullmatch(PRINCIPAL, principal):
        message = f"{principal!r} cannot name who holds a key; use at most 64 letters, digits, dots, dashes, _ or @"
        raise SettingsError(message)
    name = secrets.token_hex(4)
    secret = f"gc_{name}_{secrets.token_urlsafe(RANDOM_BYTES)}"
    kept = tuple(scope for scope in SCOPES if scope in scopes)
    return Key(id=name, principal=principal, scopes=kept, sha256=_digest(secret.encode()), created=created), secret


def find_key(keys: Mapping[bytes, Key], presented: bytes) -> Key | None:
    """Return the key that was presented, of those by id.

    An unknown id takes the way of a known one, so that the time taken tells nothing.
    """
    found = keys.get(presented[3:11])
    digest = found.sha256 if found else ""
    return found if hmac.compare_digest(_digest(presented), digest or "0" * 64) else None


def _digest(secret: bytes) -> str:
    return sha256(secret).hexdigest()


def by_id(keys: Sequence[Key]) -> dict[bytes, Key]:
    """Return keys as `find_key` looks for them."""
    return {key.id.encode(): key for key in keys}


def read_keys(path: Path) -> tuple[Key, ...]:
    """Read the keys of a file; one that is not there has none.

    Raises:
        SettingsError: it cannot be read, or is not a list of keys.
    """
    try:
        keys = msgspec.json.decode(path.read_bytes(), type=tuple[Key, ...])
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        message = f"the keys in {path} cannot be read ({cause}); put a copy back, or remove it and add keys again"
        raise SettingsError(message) from error
    if len(by_id(keys)) < len(keys):
        message = f"the keys in {path} cannot be used: an id stands there twice; remove one with gatecast keys remove"
        raise SettingsError(message)
    return keys


def add_key(path: Path, key: Key) -> None:
    """Write one more key into a file.

    Raises:
        SettingsError: the file cannot be read.
    """
    with _alone(path.parent):
        _write(path, (*read_keys(path), key))


def remove_key(path: Path, name: str) -> Key:
    """Take the key of that id out of a file, and return it.

    Raises:
        SettingsError: the file cannot be read, or has no such key.
    """
    with _alone(path.parent):
        keys = read_keys(path)
        gone = next((key for key in keys if key.id == name), None)
        if gone is None:
            message = f"there is no key {name!r} in {path}; gatecast keys list shows the ids"
            raise SettingsError(message)
        _write(path, tuple(key for key in keys if key is not gone))
        return gone


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep others from writing keys in a folder; the lock is the kernel's, and ends with the process that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":  # no such lock there: two who add at the same instant may lose one
        yield
        return
    import fcntl  # noqa: PLC0415 - see above

    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    """Put a new file in the place of the old one, at once: a reader sees one or the other."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(keys), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches what is bound to a host."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def asks_for_keys(auth: str, host: str | None) -> bool | None:
    """Tell whether a policy asks for keys on this host; None depends on the address that a request comes in at."""
    if auth != "auto":
        return auth == "on"
    return None if host is None else not is_loopback(host)


def refuse_no_keys(path: Path, host: str | None) -> None:
    """Refuse to serve where keys are asked for and there is none.

    Raises:
        SettingsError: there is none, or they cannot be read.
    """
    if not read_keys(path):
        where = f"on {host}" if host else "with GATECAST_AUTH=on"
        message = (
            f"serving {where} asks for API keys, and {path} has none; make one with: gatecast keys add NAME"
            " (or let everyone in with GATECAST_AUTH=off)"
        )
        raise SettingsError(message)
