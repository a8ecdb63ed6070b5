"""Checkpoints: what a log says it holds, signed, and cosigned by witnesses who saw that it only grew.

A checkpoint is a signed note (c2sp.org/tlog-checkpoint) of three lines: origin, number of records, root in base64. The
log signs it as such. A witness remembers the last checkpoint of each log that it cosigned, and cosigns another one only
with a proof that the old tree is its beginning (c2sp.org/tlog-cosignature, type Ed25519: ``cosignature/v1``, a time in
seconds, the three lines). A log that shows two parties different histories finds no witness for both.

What a log sends to a witness has the form of c2sp.org/tlog-witness: ``old SIZE``, a line of base64 for each hash of the
proof, an empty line, the checkpoint.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tiergate.clock import SECOND
from tiergate.errors import InputError, ProofError
from tiergate.ledger.merkle import HASH_BYTES, verify_consistency
from tiergate.ledger.notes import (
    COSIGNATURE_V1,
    ED25519,
    SIGNATURE_BYTES,
    Note,
    PrivateKey,
    PublicKey,
    SignatureLine,
    decode_base64,
    parse_note,
)
from tiergate.ledger.record_files import replace_file
from tiergate.ledger.sketches import load_or_create_key

PROOF_LIMIT: Final = 64
"""Most hashes in a proof: a tree of 2**64 records is that high."""


class Checkpoint(NamedTuple):
    """What a log says: ``size`` records under ``root`` (32 bytes), with the note that carries it."""

    origin: str
    size: int
    root: bytes
    note: Note

    def __str__(self) -> str:
        return str(self.note)


class Cosigned(NamedTuple):
    """A witness and when it last saw the log grow to this checkpoint, in seconds since the epoch."""

    witness: str
    time_s: int


def load_private_key(path: Path, name: str, kind: int = ED25519) -> PrivateKey:
    """Read the key at ``path``, or make one that only its owner can read. Raises `InputError` when others can."""
    seed = load_or_create_key(path, "signing key")
    if path.stat().st_mode & 0o077:
        raise InputError(f"others than its owner may read the signing key `{path}`: run `chmod 600 {path}`")
    return PrivateKey(name, kind, seed)


def sign_checkpoint(key: PrivateKey, size: int, root: bytes) -> Checkpoint:
    """A checkpoint of a log whose origin is the key's name."""
    text = f"{key.public.name}\n{size}\n{base64.b64encode(root).decode()}\n"
    line = SignatureLine(key.public.name, key.public.key_id, key.sign(text.encode()))
    return Checkpoint(key.public.name, size, root, Note(text, [line]))


def parse_checkpoint(text: str) -> Checkpoint:
    """Take a checkpoint apart; nothing is verified yet. Raises `InputError` when it is not one."""
    note = parse_note(text)
    lines = note.text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise InputError("the checkpoint has fewer than three lines: origin, size and root")
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1], re.ASCII):
        raise InputError(f"`{lines[1][:60]}` is not the size of a log")
    root = decode_base64(lines[2], "root")
    if len(root) != HASH_BYTES:
        raise InputError(f"the root of a checkpoint has {HASH_BYTES} bytes, not {len(root)}")
    return Checkpoint(lines[0], int(lines[1]), root, note)


def verify_checkpoint(checkpoint: Checkpoint, key: PublicKey) -> None:
    """Check the log's own signature. Raises `ProofError` unless it is there and all by this key are right."""
    if checkpoint.origin != key.name:
        raise ProofError(f"the checkpoint is of the log `{checkpoint.origin}`, not of `{key.name}`")
    lines = key.signatures(checkpoint.note)
    if not lines:
        raise ProofError(f"the checkpoint has no signature by this key of `{key.name}`")
    for line in lines:
        key.check(line.signature, checkpoint.note.text.encode())


def verify_cosignatures(checkpoint: Checkpoint, witnesses: Sequence[PublicKey], quorum: int) -> list[Cosigned]:
    """Which of ``witnesses`` cosigned. Raises `ProofError` for fewer than ``quorum``, or a false one by any of them."""
    cosigned = {}
    for witness in witnesses:
        for line in witness.signatures(checkpoint.note):
            time_s, signature = _timestamped(line)
            witness.check(signature, _cosigned_message(checkpoint.note, time_s))
            # By key: one witness under two names is one witness.
            cosigned[witness.key] = Cosigned(witness.name, time_s)
    if len(cosigned) < quorum:
        missing = ", ".join(f"`{one.name}`" for one in witnesses if one.key not in cosigned)
        asked = f"{len(cosigned)} of {quorum} witnesses cosigned the checkpoint"
        raise ProofError(f"{asked}: none by {missing}" if missing else asked)
    return list(cosigned.values())


class Request(NamedTuple):
    """What a log sends to a witness: the size it believes the witness saw, the proof from there, the checkpoint."""

    old_size: int
    proof: list[bytes]
    checkpoint: Checkpoint

    def __str__(self) -> str:
        proof = "".join(base64.b64encode(one).decode() + "\n" for one in self.proof)
        return f"old {self.old_size}\n{proof}\n{self.checkpoint}"


def parse_request(text: str) -> Request:
    """Take a request apart; nothing is verified yet. Raises `InputError` when it is not one."""
    head, _, rest = text.partition("\n\n")
    first, *hashes = head.split("\n")
    size = re.fullmatch(r"old (0|[1-9][0-9]{0,18})", first, re.ASCII)
    if size is None or len(hashes) > PROOF_LIMIT:
        raise InputError("this is not a request to a witness: it has to begin with `old SIZE` and a proof")
    return Request(int(size[1]), [decode_base64(one, "hash") for one in hashes], parse_checkpoint(rest))


class _Seen(msgspec.Struct, frozen=True):
    """Checkpoints by origin that a witness cosigned last."""

    checkpoints: dict[str, str]
    format: int = 1


class Witness:
    """Cosigns checkpoints of the logs it knows, each only if it continues the one before.

    :param state: file that remembers; losing it makes the witness one that never saw a log.
    :param logs: keys of the logs it answers for.
    """

    def __init__(self, key: PrivateKey, logs: Sequence[PublicKey], state: Path) -> None:
        if key.public.kind != COSIGNATURE_V1:
            raise ValueError("a witness signs with a key of the type for cosignatures")
        self._key = key
        self._logs = {log.name: log for log in logs}
        self._state = state

    def last_size(self, origin: str) -> int:
        """Size of the log's last checkpoint that was cosigned; 0 if none was."""
        text = self._seen().get(origin)
        return parse_checkpoint(text).size if text else 0

    def cosign(self, request: Request, now_us: int) -> SignatureLine:
        """Cosign, at ``now_us`` microseconds since the epoch, and remember.

        Raises `ProofError` when the log's signature is wrong or the checkpoint does not continue the last one, and
        `InputError` when the log is unknown or the proof starts at another size than the last one seen.
        """
        new = request.checkpoint
        log = self._logs.get(new.origin)
        if log is None:
            raise InputError(f"the log `{new.origin[:80]}` is not one that this witness knows")
        verify_checkpoint(new, log)
        if not new.size:
            raise InputError("a log without records has nothing to be witnessed")
        with self._locked():
            seen = self._seen()
            self._check_growth(request, seen.get(new.origin))
            # Remembered first: what was cosigned and forgotten could be contradicted.
            own = Checkpoint(new.origin, new.size, new.root, Note(new.note.text, log.signatures(new.note)))
            state = _Seen(seen | {new.origin: str(own)})
            replace_file(self._state, msgspec.json.format(msgspec.json.encode(state)) + b"\n")
        time_s = now_us // SECOND
        signature = self._key.sign(_cosigned_message(new.note, time_s))
        return SignatureLine(self._key.public.name, self._key.public.key_id, time_s.to_bytes(8, "big") + signature)

    def _check_growth(self, request: Request, last_seen: str | None) -> None:
        new = request.checkpoint
        if last_seen is None:
            if request.old_size or request.proof:
                raise InputError("this witness has not seen the log before: send the checkpoint with `old 0`, no proof")
            return
        last = parse_checkpoint(last_seen)
        evidence = f"; this checkpoint and the one in `{self._state}`, both signed by the log, are the evidence"
        if new.size < last.size:
            raise InputError(f"this witness has seen {last.size} records of the log, more than {new.size}")
        if new.size == last.size and new.root != last.root:
            raise ProofError(f"the log has two histories: two different trees of {new.size} records{evidence}")
        if request.old_size != last.size:
            raise InputError(f"this witness has last seen {last.size} records: send the proof from there")
        try:
            verify_consistency(last.size, new.size, last.root, new.root, request.proof)
        except ProofError as error:
            raise ProofError(f"{error}{evidence}, if no proof fits") from error

    def _seen(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=_Seen).checkpoints
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            raise InputError(f"cannot read what this witness has seen, `{self._state}`: {error}") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(f"{self._state}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _cosigned_message(note: Note, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{note.text}".encode()


def _timestamped(line: SignatureLine) -> tuple[int, bytes]:
    time_s = int.from_bytes(line.signature[:8], "big")
    if len(line.signature) != 8 + SIGNATURE_BYTES or time_s >= 1 << 63:
        raise ProofError(f"the cosignature of `{line.name}` is not a time and an Ed25519 signature")
    return time_s, line.signature[8:]
