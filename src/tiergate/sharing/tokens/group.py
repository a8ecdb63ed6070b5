"""The group: which labs take part, with which numbers, tokens and quotas, and how many must hold an item."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import Final

import msgspec

from tiergate.clock import HOUR
from tiergate.errors import InputError

FILE: Final = "labs.toml"
KIND: Final = "tgj"
"""Of the labs' tokens (`tiergate.parties.tokens`)."""
KEPT_EPOCHS: Final = 2
"""The current one, and the one before it for labs that are late."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A lab of the group. ``number``: where its shares lie, 1 to 255, never given to another; ``token_sha256``: of the
    token that it shows; ``quota``: items it may have evaluated, and rows it may hand in, per epoch."""

    name: str
    number: int
    token_sha256: str
    quota: int = 200_000


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`labs.toml`, the same at the key server and the hub but for the tokens."""

    labs: list[Member]
    threshold: int = 3
    epoch_hours: int = 24

    def epoch(self, now_us: int) -> int:
        """The epoch that a time (microseconds, UTC) lies in."""
        return now_us // (self.epoch_hours * HOUR)

    def kept(self, now_us: int) -> tuple[int, ...]:
        """Epochs that are served now, the current one first."""
        now = self.epoch(now_us)
        return tuple(range(now, now - KEPT_EPOCHS, -1))

    def who(self, authorization: str) -> Member | None:
        """The lab that a header `Bearer TOKEN` is of."""
        scheme, _, token = authorization.partition(" ")
        shown = hashlib.sha256(token.encode()).hexdigest()
        found = None
        for member in self.labs:
            if hmac.compare_digest(shown, member.token_sha256):
                found = member
        return found if scheme.lower() == "bearer" else None


def load_group(path: Path) -> Group:
    """Read `labs.toml`. Raises `InputError` with what to mend."""
    try:
        group = msgspec.toml.decode(path.read_bytes(), type=Group)
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}; docs/sharing.md shows what it holds") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"`{path}`: {error}") from error
    check_group(group, str(path))
    return group


def check_group(group: Group, where: str) -> None:
    """Raises `InputError` for a group that cannot work."""
    numbers = [one.number for one in group.labs]
    for one in group.labs:
        if not _NAME.fullmatch(one.name):
            raise InputError(f"`{where}`: `{one.name[:64]}` is no name of a lab: use a-z, 0-9 and `-`")
        if not 1 <= one.number <= 255:
            raise InputError(f"`{where}`: lab `{one.name}` needs a number from 1 to 255")
        if not re.fullmatch("[0-9a-f]{64}", one.token_sha256):
            raise InputError(f"`{where}`: lab `{one.name}` needs the SHA-256 that `tiergate share token` prints")
        if not 0 < one.quota <= 100_000_000:
            raise InputError(f"`{where}`: lab `{one.name}` needs a quota from 1 to 100000000")
    for what, values in (
        ("number", numbers),
        ("name", [one.name for one in group.labs]),
        ("token", [one.token_sha256 for one in group.labs]),
    ):
        if len(set(values)) != len(values):
            raise InputError(f"`{where}`: two labs have one {what}: each needs its own")
    if not 2 <= group.threshold <= len(group.labs):
        raise InputError(f"`{where}`: the threshold is 2 at least and no more than there are labs")
    if not 1 <= group.epoch_hours <= 24 * 31:
        raise InputError(f"`{where}`: `epoch_hours` is 1 to 744")
