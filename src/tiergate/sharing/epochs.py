"""Keys that peers share for a time: under each, the same thing has the same token at all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tiergate.errors import InputError


@dataclass(frozen=True, slots=True)
class Epoch:
    """The key that peers share for a time, and what they call that time."""

    name: str
    key: bytes

    @classmethod
    def read(cls, path: Path) -> Epoch:
        """The epoch that a file is called after. Raises `InputError` when it holds no key of 32 bytes."""
        try:
            key = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read the epoch key `{path}`: {error.strerror}") from error
        if len(key) != 32:
            raise InputError(f"`{path}` is no epoch key: expected 32 bytes, found {len(key)}")
        return cls(path.stem, key)


def epoch_keys(folder: Path) -> dict[str, bytes]:
    """Keys of epochs by name, from a folder of `NAME.key`. Raises `InputError` for one that is none."""
    found = [Epoch.read(path) for path in sorted(folder.glob("*.key"))] if folder.is_dir() else []
    return {one.name: one.key for one in found}
