"""The policies that decisions were made by, kept in their log as `policies/<digest>.json`: text and schema.

Every record names its policies by their digest, so what is kept needs no other proof.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from tiergate.admission.engine import Engine, Policies
from tiergate.errors import LedgerError, ProofError
from tiergate.ledger.record_files import replace_file, sync_folder

FOLDER: Final = "policies"


def keep_policies(log: Path, policies: Policies) -> None:
    """Keep policies in the folder of a log, once. Raises `LedgerError` when they cannot be written."""
    path = log / FOLDER / f"{policies.digest}.json"
    try:
        if not path.exists():
            path.parent.mkdir(exist_ok=True, mode=0o700)
            replace_file(path, msgspec.json.encode(policies))
            sync_folder(log)
    except OSError as error:
        raise LedgerError(f"cannot keep the policies at `{path}`: {error.strerror}") from error


class Engines:
    """Engines of today's policies and of those that a log keeps, by digest, each made once."""

    def __init__(self, log: Path, today: Engine) -> None:
        self.today = today
        self._folder = log / FOLDER
        self._made: dict[str, Engine | None] = {today.digest: today}

    def of(self, digest: str) -> Engine | None:
        """None where the policies are not kept, or this version cannot read them any more.

        Raises `ProofError` when what is kept under the digest is something else, `LedgerError` if it cannot be read.
        """
        if digest not in self._made:
            self._made[digest] = self._make(digest)
        return self._made[digest]

    def _make(self, digest: str) -> Engine | None:
        # A record's policy is any text, and this one names a file.
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            return None
        path = self._folder / f"{digest}.json"
        try:
            policies = msgspec.json.decode(path.read_bytes(), type=Policies)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LedgerError(f"cannot read `{path}`: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ProofError(f"`{path}` is damaged ({error}): restore it from a copy") from error
        if policies.digest != digest:
            raise ProofError(f"`{path}` does not hold the policies that it is named after: restore it from a copy")
        try:
            return Engine(policies)
        except ValueError:
            return None
