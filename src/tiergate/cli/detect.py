"""`tiergate detect`: an exchange log in, cases out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.terminal import counted, note, progress, say_json

if TYPE_CHECKING:
    from tiergate.cli.cases import CasesFolder
    from tiergate.cli.inputs import Inputs
    from tiergate.detection.run import Parameters
    from tiergate.records.refused import RefusedRows

REFUSED_FILE = "refused.jsonl"


def detect(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT", help="Exchange files, folders of them, or a gateway's data or log folder."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the cases.")],
    accounts: Annotated[Path | None, typer.Option(metavar="FILE", help="Accounts, if not beside the input.")] = None,
    model_releases: Annotated[
        Path | None, typer.Option(metavar="FILE", help="When each model came out, if not beside the input.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sketch key, to read text and kept sketches together.")
    ] = None,
    decoys: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Shuffled copies of the log that say what chance reaches.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of every random choice.")] = 1,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Remember what was read and found, for the next call: new files alone are read."
        ),
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Write report.html into the folder as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the cases as JSON.")] = False,
) -> None:
    """Find accounts that work as one, and why.

    Writes cases, case_accounts, case_evidence, case_exchanges, case_ties, case_marks, case_heirs, links and decoys
    (.parquet) and run.json. A row that cannot be read is counted and kept in refused.jsonl; it never stops the others.

    \b
    Example:
      tiergate detect logs/ --accounts accounts.parquet --out cases --report
      tiergate detect logs/2026-09-02.parquet --out cases --state state
    """
    from tiergate.cli.cases import read_cases
    from tiergate.cli.inputs import find_inputs
    from tiergate.cli.outputs import writable_folder
    from tiergate.detection.run import Parameters
    from tiergate.errors import InputError
    from tiergate.ledger.sketches import load_or_create_key
    from tiergate.records.refused import RefusedRows

    found = find_inputs(inputs)
    for path, kind in ((accounts, found.accounts), (model_releases, found.model_releases)):
        if path is not None:
            kind[:] = [path]
    key = key or next((folder / "key" for folder in found.data if (folder / "key").is_file()), None)
    if key is not None and not key.is_file():
        raise InputError(f"`{key}` is not there: give the key file of the gateway that wrote the log")
    sketch_key = load_or_create_key(key) if key else None
    parameters = Parameters(decoys=decoys, seed=seed)
    writable_folder(out)
    with RefusedRows(out / REFUSED_FILE) as refused:
        if state is None:
            detect_into(out, found, refused, sketch_key=sketch_key, parameters=parameters)
        else:
            from tiergate.cli.detect_again import detect_again

            detect_again(out, found, refused, state, sketch_key=sketch_key, parameters=parameters)
    cases = read_cases(out)
    _say_counts(cases, refused, out / REFUSED_FILE)
    if report:
        note(f"wrote `{_report(found, out, [str(path) for path in inputs], state, sketch_key)}`")
    if as_json:
        say_json({"run": cases.run, "cases": [{**c.facts, "evidence": c.evidence} for c in cases.cases]})
    else:
        from tiergate.cli.case_table import print_cases

        print_cases(cases)


def detect_into(
    out: Path, inputs: Inputs, refused: RefusedRows, *, sketch_key: bytes | None, parameters: Parameters
) -> None:
    """Run one detection over ``inputs`` into the folder ``out``, with a progress bar."""
    from tiergate.detection.intake import COLUMNS
    from tiergate.detection.run import DetectionInputs, run_detection

    accounts, releases = inputs.account_table(refused), inputs.release_table(refused)
    with progress("detecting") as advance:
        run_detection(
            DetectionInputs(
                exchanges=lambda: inputs.batches(refused, COLUMNS, sketches_suffice=True),
                accounts=accounts,
                model_releases=releases,
                refused=refused,
                files=inputs.files,
            ),
            out,
            parameters=parameters,
            sketch_key=sketch_key,
            progress=advance,
        )


def _say_counts(cases: CasesFolder, refused: RefusedRows, side_file: Path) -> None:
    read = cases.run["exchanges"]
    repeated = f", {read['repeated']:,} repeated" if read["repeated"] else ""
    line = f"read {counted(read['read'], 'exchange')}, used {read['used']:,}{repeated}"
    note(f"{line}, refused {counted(refused.count, 'row')}" if refused.count else f"{line}, refused none")
    if refused.count:
        for reason, count in sorted(refused.by_reason.items(), key=lambda item: -item[1])[:5]:
            note(f"  {counted(count, 'row')}: {reason}")
        if side_file.is_file():
            note(f"the refused rows are in `{side_file}`")
    for lacking in cases.run.get("lacking", []):
        note(f"the input has no {lacking} evidence, so none was weighed")


def _report(inputs: Inputs, out: Path, sources: list[str], state: Path | None, sketch_key: bytes | None) -> Path:
    from tiergate.cli.detect_again import all_exchanges
    from tiergate.cli.report import write_report
    from tiergate.records.refused import RefusedRows

    columns = ["account_id", "started_at"]
    with RefusedRows(None) as again:
        batches = (
            all_exchanges(state, inputs, sketch_key=sketch_key, columns=columns)
            if state
            else inputs.batches(again, columns)
        )
        return write_report(out, out, exchanges=batches, sources=sources)
