"""Signed notes (c2sp.org/signed-note): text with signature lines, and the keys that make and check them.

A note is its text, an empty line, and a line ``— name base64(key id || signature)`` for each signature. A key is known
by name and id together; lines of unknown keys say nothing and are passed over. Keys travel as
``name+8 hex digits of the id+base64(type || public key)`` ("vkey"). All signatures are Ed25519 (RFC 8032).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tiergate.errors import InputError, ProofError

NOTE_LIMIT_BYTES: Final = 64 << 10
ED25519: Final = 0x01
"""Type of a key that signs the text itself (c2sp.org/signed-note)."""
COSIGNATURE_V1: Final = 0x04
"""Type of a witness's key, which signs the text with a time (c2sp.org/tlog-cosignature)."""
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_DASH: Final = "\N{EM DASH} "


class SignatureLine(NamedTuple):
    """One signature as a note carries it."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


class Note(NamedTuple):
    """A note taken apart; nothing is verified yet. ``text`` ends in a newline."""

    text: str
    signatures: list[SignatureLine]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(map(str, self.signatures))


class PublicKey(NamedTuple):
    """Whom to believe: a name, a type of signature and 32 bytes of Ed25519 key."""

    name: str
    kind: int
    key: bytes

    @property
    def key_id(self) -> bytes:
        return sha256(f"{self.name}\n".encode() + bytes([self.kind]) + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.key).decode()}"

    def signatures(self, note: Note) -> list[SignatureLine]:
        """The lines of ``note`` that claim to be this key's."""
        return [line for line in note.signatures if (line.name, line.key_id) == (self.name, self.key_id)]

    def check(self, signature: bytes, message: bytes) -> None:
        """Raise `ProofError` unless ``signature`` (64 bytes) is this key's of ``message``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise ProofError(f"the signature of `{self.name}` does not fit") from error


class PrivateKey:
    """A name, a type of signature and an Ed25519 key, from a seed of 32 bytes."""

    def __init__(self, name: str, kind: int, seed: bytes) -> None:
        _check_name(name)
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(name, kind, self._private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


def parse_note(text: str) -> Note:
    """Take a note apart. Raises `InputError` when it is not one."""
    if len(text) > NOTE_LIMIT_BYTES:
        raise InputError(f"the note is longer than {NOTE_LIMIT_BYTES:,} bytes")
    if re.search(r"[\x00-\x09\x0b-\x1f]", text):
        raise InputError("the note has control characters other than newlines in it")
    body, gap, lines = text.rpartition("\n\n")
    if not gap or not body or not lines.endswith("\n"):
        raise InputError("the note has no signature lines after an empty line")
    return Note(body + "\n", [parse_signature(line) for line in lines[:-1].split("\n")])


def parse_signature(line: str) -> SignatureLine:
    """One signature line without its newline. Raises `InputError` when it is not one."""
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH):
        raise InputError(f"`{line[:60]}` is not a signature line: it has to begin with a dash and a space")
    _check_name(name)
    decoded = decode_base64(encoded, "signature")
    if len(decoded) <= 4:
        raise InputError(f"the signature of `{name}` is too short")
    return SignatureLine(name, decoded[:4], decoded[4:])


def parse_public_key(text: str, *, kind: int, name: str | None = None) -> PublicKey:
    """A key from a vkey, or from base64 of its 32 bytes alone where ``name`` says whose it is.

    Raises `InputError` when it is neither, or of another type than ``kind``.
    """
    text = text.strip()
    owner, plus, rest = text.partition("+")
    key_id, second, encoded = rest.partition("+")
    # Base64 has plus signs of its own; a vkey has an id of 8 hex digits between two.
    if plus and second and re.fullmatch(r"[0-9a-f]{8}", key_id):
        _check_name(owner)
        decoded = decode_base64(encoded, "key")
        if len(decoded) != 1 + KEY_BYTES or decoded[0] != kind:
            raise InputError(f"the key of `{owner}` is not of the type {kind:#04x} with {KEY_BYTES} bytes")
        key = PublicKey(owner, kind, decoded[1:])
        if key.key_id.hex() != key_id:
            raise InputError(f"the key of `{owner}` has an id that is not its own: copy it anew")
        return key
    if name is None:
        raise InputError(f"`{text[:80]}` is not a key with a name: give it as NAME+ID+BASE64")
    decoded = decode_base64(text, "key")
    if len(decoded) != KEY_BYTES:
        raise InputError(f"a public key has {KEY_BYTES} bytes, not {len(decoded)}")
    return PublicKey(name, kind, decoded)


def decode_base64(text: str, what: str) -> bytes:
    """Bytes from base64 (RFC 4648 section 4), which each have one spelling here. Raises `InputError`."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"the {what} `{text[:80]}` is not base64") from error
    if base64.b64encode(decoded).decode() != text:
        raise InputError(f"the {what} `{text[:80]}` is not base64 as it is written without spare bits")
    return decoded


def merged(note: Note, lines: Iterable[SignatureLine]) -> Note:
    """The note with further signatures, each key's latest alone."""
    kept = {(line.name, line.key_id): line for line in (*note.signatures, *lines)}
    return Note(note.text, list(kept.values()))


def _check_name(name: str) -> None:
    if not name or "+" in name or any(letter.isspace() or not letter.isprintable() for letter in name):
        raise InputError(f"`{name}` cannot name a key: it needs to be text without spaces and plus signs")
