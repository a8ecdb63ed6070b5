"""`tiergate import`: another product's log in, an exchange log out."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.terminal import counted, note, progress, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from tiergate.records.refused import RefusedRows


class Format(StrEnum):
    """Logs that can be imported."""

    LITELLM = "litellm"
    OTLP = "otlp"
    COLUMNS = "columns"


def import_(
    source: Annotated[Format, typer.Argument(metavar="litellm|otlp|columns", help="What wrote the log.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The log to read.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Exchange log to write: .parquet or .jsonl.")],
    column_map: Annotated[
        Path | None, typer.Option("--map", metavar="FILE", help="Which column is which, for `columns`.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Turn another log into an exchange log.

    litellm: spend logs of the LiteLLM proxy. otlp: OpenTelemetry GenAI spans as OTLP JSON. columns: any CSV
    or JSONL, with a map of columns. Rows that cannot be read are kept beside the output.

    \b
    Example:
      tiergate import litellm spend_logs.jsonl --out exchanges.parquet
    """
    from tiergate.cli.outputs import writable_file
    from tiergate.records.refused import RefusedRows
    from tiergate.records.schema import EXCHANGE_SCHEMA
    from tiergate.records.write import open_writer

    if (source is Format.COLUMNS) != (column_map is not None):
        raise InputError("give `--map FILE` with `columns`, and only then: it says which column is which")
    if not file.is_file():
        raise InputError(f"`{file}` is not there: give the log to import")
    writable_file(out)
    side_file = out.with_name(f"{out.name}.refused.jsonl")
    written = 0
    with RefusedRows(side_file) as refused, progress("importing") as advance:
        with open_writer(out, EXCHANGE_SCHEMA) as writer:
            for batch in _read(source, file, column_map, refused):
                writer.write(batch)
                written += batch.num_rows
                advance(counted(written, "exchange"), 0.0)
            if refused.count and not written:
                raise InputError(f"`{file}` has no usable row: {refused.told}; all are in `{side_file}`")
        advance(counted(written, "exchange"), 1.0)
    if refused.count:
        note(f"refused {counted(refused.count, 'row')}, kept in `{side_file}`")
    if as_json:
        say_json({"out": str(out), "exchanges": written, "refused": refused.count, "reasons": refused.by_reason})
    else:
        say(f"wrote {counted(written, 'exchange')} to {out}, refused {counted(refused.count, 'row')}")


def _read(source: Format, file: Path, column_map: Path | None, refused: RefusedRows) -> Iterator[pa.RecordBatch]:
    from tiergate.importers import columns, litellm, otlp

    if source is Format.LITELLM:
        return litellm.read(file, refused=refused)
    if source is Format.OTLP:
        return otlp.read(file, refused=refused)
    assert column_map is not None
    return columns.read(file, refused=refused, column_map=column_map)
