"""What a user points `detect` at: exchange files, folders of them, a world, a gateway's log or data folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from tiergate.errors import InputError
from tiergate.records.refused import RefusedRows

if TYPE_CHECKING:
    from tiergate.detection.state import Part


@dataclass
class Inputs:
    """Paths by what they hold. ``data`` are a gateway's data folders, whose registry names the accounts."""

    exchanges: list[Path] = field(default_factory=list)
    accounts: list[Path] = field(default_factory=list)
    model_releases: list[Path] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)
    data: list[Path] = field(default_factory=list)

    def batches(
        self, refused: RefusedRows, columns: Sequence[str] | None = None, *, sketches_suffice: bool = False
    ) -> Iterator[pa.RecordBatch]:
        """All exchanges, whatever they lie in; ``columns`` limits what is read, and ``sketches_suffice`` leaves text
        unread where sketches stand for it. An exchange may come twice."""
        from tiergate.ledger.log import read_log
        from tiergate.records.read import read_exchanges

        for folder in self.logs:
            yield from read_log(folder, columns=columns, sketches_suffice=sketches_suffice, repeats=sketches_suffice)
        if self.exchanges:
            yield from read_exchanges(
                self.exchanges, refused=refused, columns=columns, sketches_suffice=sketches_suffice
            )

    def parts(self) -> tuple[list[Part], list[pa.RecordBatch]]:
        """The files of exchanges, each to be read by itself, and what gateways have not yet sealed into one."""
        from tiergate.detection.state import Part
        from tiergate.ledger.log import read_pieces
        from tiergate.records.read import table_files

        parts: list[Part] = []
        unsealed: list[pa.RecordBatch] = []
        for folder in self.logs:
            segments, spooled = read_pieces(folder)
            parts += [Part(path, partial(_segment, read)) for path, read in segments.items()]
            unsealed += spooled
        for path in table_files(self.exchanges) if self.exchanges else []:
            parts.append(Part(path, partial(_file, path)))
        return parts, unsealed

    def account_table(self, refused: RefusedRows) -> pa.Table | None:
        """Accounts from files and from gateways' registries; none when neither is there."""
        from tiergate.cli.deployment import open_deployment
        from tiergate.records.read import read_accounts

        tables = []
        for folder in self.data:
            with open_deployment(folder) as deployment:
                tables.append(deployment.registry.accounts_table())
        if self.accounts:
            tables.append(read_accounts(self.accounts, refused=refused))
        return pa.concat_tables(tables) if tables else None

    def release_table(self, refused: RefusedRows) -> pa.Table | None:
        """Release times of models; none when no file gives them."""
        from tiergate.records.read import read_model_releases

        return read_model_releases(self.model_releases, refused=refused) if self.model_releases else None

    @property
    def files(self) -> list[Path]:
        """Everything that is read, for fingerprints and for saying what was read."""
        logs = [file for folder in self.logs for file in sorted(folder.rglob("*")) if file.is_file()]
        return [*self.exchanges, *self.accounts, *self.model_releases, *logs]


def _segment(read: Callable[[], Iterator[pa.RecordBatch]], _: RefusedRows) -> Iterator[pa.RecordBatch]:
    return read()


def _file(path: Path, refused: RefusedRows) -> Iterator[pa.RecordBatch]:
    from tiergate.records.read import read_exchanges

    return read_exchanges([path], refused=refused)


def find_inputs(paths: Sequence[Path]) -> Inputs:
    """Sort ``paths`` by what they hold. Raises `InputError` for a path that is not there or holds nothing."""
    from tiergate.ledger.log import is_log
    from tiergate.records.read import find_world

    inputs = Inputs()
    for path in paths:
        if not path.exists():
            raise InputError(f"`{path}` is not there: give exchange files, a folder of them or a gateway's data folder")
        if path.is_dir() and is_log(path):
            inputs.logs.append(path)
        elif path.is_dir() and (path / "control.sqlite").is_file() and is_log(path / "log"):
            inputs.logs.append(path / "log")
            inputs.data.append(path)
        elif path.is_dir():
            world = find_world(path)
            inputs.exchanges += world.exchanges
            inputs.accounts += world.accounts
            inputs.model_releases += world.model_releases
        else:
            inputs.exchanges.append(path)
    if not inputs.exchanges and not inputs.logs:
        named = ", ".join(f"`{path}`" for path in paths)
        raise InputError(f"{named} holds no exchanges: expected .parquet or .jsonl files, or a gateway's log")
    return inputs
