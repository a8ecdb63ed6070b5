"""Secrets that people and programs present: their form, and what is stored of them.

A token is ``<kind>_``, 30 base62 characters of randomness (178 bits) and 6 base62 characters of CRC32 over all that
comes before, as GitHub's tokens have it (github.blog, "Behind GitHub's new authentication token formats", 2021).
Scanners of leaked text find it by its prefix and know by its checksum that it is none of their false alarms; a
mistyped one is refused before any look-up.

What is stored is HMAC-SHA256 of the token under a pepper that lies beside the database, never in it: who has a copy
of the database alone can neither use a token nor check a guess. A fast hash is right here, unlike for passwords: 178
random bits cannot be guessed.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import string
import tempfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Final

from tiergate.errors import SettingsError

ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM: Final = 30
CHECKSUM: Final = 6
PEPPER_BYTES: Final = 32
_BLOCK_BYTES: Final = 64
_PAIRS: Final = [first + second for first in ALPHABET for second in ALPHABET]
"""Two digits at once: every request has its key's checksum made."""


def new_token(kind: str) -> str:
    """A fresh token such as `tgo_...`; ``kind`` comes without its underscore."""
    body = f"{kind}_{''.join(secrets.choice(ALPHABET) for _ in range(RANDOM))}"
    return body + _checksum(body)


def is_token(text: str, kind: str) -> bool:
    """Whether ``text`` has the form of a token of this kind, its checksum included."""
    prefix = f"{kind}_"
    if not text.startswith(prefix) or len(text) != len(prefix) + RANDOM + CHECKSUM or not text.isascii():
        return False
    return text[-CHECKSUM:] == _checksum(text[:-CHECKSUM])


def keyed_hash(pepper: bytes, token: str) -> str:
    """What is stored of a token: HMAC-SHA256 in hexadecimal."""
    begun, around = _begun(pepper)
    inner, outer = begun.copy(), around.copy()
    inner.update(token.encode())
    outer.update(inner.digest())
    return outer.hexdigest()


@lru_cache(maxsize=8)
def _begun(pepper: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """HMAC's two hashes (RFC 2104) that have read the pepper, of 64 bytes at most. `hmac.digest` makes them anew each
    time, and has OpenSSL look up its algorithm: three times as long a way, with a key to hash for every request."""
    block = pepper.ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(bytes(byte ^ 0x36 for byte in block)), hashlib.sha256(bytes(byte ^ 0x5C for byte in block))


def load_or_create_pepper(path: Path) -> bytes:
    """Read the deployment's 32-byte pepper, or make one that only its owner can read.

    Raises `SettingsError` when the file is there but is no pepper, or others may read it.
    """
    try:
        if not path.exists():
            _create(path)
        mode, pepper = path.stat().st_mode & 0o777, path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot use the pepper `{path}`: {error.strerror}") from error
    if mode & 0o077:
        raise SettingsError(f"others may read the pepper `{path}`: run `chmod 600` on it")
    if len(pepper) != PEPPER_BYTES:
        raise SettingsError(f"`{path}` is no pepper: expected {PEPPER_BYTES} bytes, found {len(pepper)}")
    return pepper


def _create(path: Path) -> None:
    # Linked into place when it is whole: of two processes that start together the second takes the first one's.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".pepper-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(PEPPER_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, path)
        except FileExistsError:
            return
    finally:
        Path(name).unlink()


def _checksum(body: str) -> str:
    number, last = divmod(zlib.crc32(body.encode()), len(_PAIRS))
    first, middle = divmod(number, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[middle] + _PAIRS[last]
