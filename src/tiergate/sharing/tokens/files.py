"""Files of a lab: whom it talks to, whom it nominates, and what it handed in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from tiergate.errors import InputError
from tiergate.sharing.tokens.group import KEPT_EPOCHS
from tiergate.sharing.tokens.hub import Told
from tiergate.sharing.tokens.items import Item, Kind, Nomination
from tiergate.sharing.tokens.lab import JointCluster, Lab, Prepared
from tiergate.sharing.tokens.peer import Hub, KeyServer

READ: Final = "read"
"""Folder of answers, within that of what was handed in."""


class Party(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a key server or the hub is, and the file with our token for it, beside `lab.toml`."""

    url: str
    token_file: str


class LabFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`lab.toml`."""

    number: int
    threshold: int
    hub: Party
    key_servers: list[Party]


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a file of nominations; ``items``: kinds by name, and values."""

    customer: str
    exchanges: int
    items: list[tuple[str, str]]


@contextmanager
def open_lab(path: Path) -> Iterator[Lab]:
    """The lab that `lab.toml` describes. Raises `InputError` with what to mend."""
    try:
        read = msgspec.toml.decode(path.read_bytes(), type=LabFile)
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}; docs/sharing.md shows what it holds") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"`{path}`: {error}") from error
    if not (1 <= read.number <= 255 and 2 <= read.threshold <= 255 and read.key_servers):
        raise InputError(f"`{path}`: give the lab's number, the group's threshold and a key server at least")
    with ExitStack() as stack:
        keys = [stack.enter_context(KeyServer(one.url, _token(path, one))) for one in read.key_servers]
        hub = stack.enter_context(Hub(read.hub.url, _token(path, read.hub)))
        yield Lab(read.number, read.threshold, keys, hub)


def _token(beside: Path, party: Party) -> str:
    path = beside.parent / party.token_file
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the token for `{party.url}` in `{path}`") from error


def write_nominations(path: Path, nominations: Iterable[Nomination]) -> None:
    """Write nominations, one a line. They name customers: only their owner can read the file."""
    lines = [
        msgspec.json.encode(
            _Written(one.customer, one.exchanges, [(item.kind.name.lower(), item.value) for item in sorted(one.items)])
        )
        for one in nominations
    ]
    _write(path, b"".join(line + b"\n" for line in lines))


def read_nominations(path: Path) -> list[Nomination]:
    """Nominations of a file. Raises `InputError` with the line that is wrong."""
    nominations = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    one = msgspec.json.decode(line, type=_Written)
                    items = frozenset(Item(Kind[kind.upper()], value) for kind, value in one.items)
                except (msgspec.DecodeError, KeyError, UnicodeDecodeError) as error:
                    raise InputError(f"`{path}`, line {number}: {error}") from error
                nominations.append(Nomination(one.customer, items, one.exchanges))
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
    return nominations


def keep(folder: Path, prepared: Prepared) -> None:
    """Keep what is handed in, to read answers by, and forget epochs that nobody serves any more."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in folder.glob("*.json"):
        if path.stem.isdigit() and int(path.stem) <= prepared.sent.epoch - KEPT_EPOCHS:
            path.unlink()
            (folder / READ / path.name).unlink(missing_ok=True)
    _write(folder / f"{prepared.sent.epoch}.json", msgspec.json.encode(prepared))


class Answer(msgspec.Struct, frozen=True):
    """What the hub told of an epoch, and the joint clusters with own customers in them. It names customers."""

    epoch: int
    told: Told
    clusters: list[JointCluster]


def keep_answer(folder: Path, answer: Answer) -> None:
    """Keep what was read, in place of what was read of the epoch before."""
    place = folder / READ
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(place / f"{answer.epoch}.json", msgspec.json.encode(answer))


def kept_answer(folder: Path, epoch: int) -> Answer | None:
    """What was read of an epoch the last time. Raises `InputError` where the file is damaged."""
    path = folder / READ / f"{epoch}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Answer)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"`{path.name}` is damaged: read the answer again, `tiergate share lab read`") from error


def kept(folder: Path, epoch: int) -> Prepared | None:
    """What was handed in for an epoch. Raises `InputError` where the file is damaged."""
    path = folder / f"{epoch}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Prepared)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"`{path}` is damaged: remove it to nominate anew in the next epoch") from error


def kept_epochs(folder: Path) -> list[int]:
    """Epochs that something was handed in for, the newest first."""
    return sorted((int(path.stem) for path in folder.glob("*.json") if path.stem.isdigit()), reverse=True)


def _write(path: Path, content: bytes) -> None:
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError as error:
        raise InputError(f"cannot write `{path}`: {error.strerror}") from error
