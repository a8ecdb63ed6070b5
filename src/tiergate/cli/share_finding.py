"""`tiergate share show` and `export`: what peers would be told of a case, and the file that tells it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.case_views import CaseId, named, opened
from tiergate.cli.options import Author, Data, Json, now, who
from tiergate.cli.outputs import writable_file
from tiergate.cli.terminal import moment, note, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.cli.share_case import FromCase
    from tiergate.response.worklist import Worklist
    from tiergate.sharing.corroboration import Corroboration
    from tiergate.sharing.finding import Finding


class Marking(StrEnum):
    """How far a finding may go, as `sharing.marking` has it; written out here, so that `--help` answers at once."""

    CLEAR = "clear"
    GREEN = "green"
    AMBER = "amber"
    AMBER_STRICT = "amber+strict"
    RED = "red"


LabName = Annotated[
    str, typer.Option("--lab", metavar="DOMAIN", envvar="TIERGATE_SHARING_LAB", help="Whom it is from: your domain.")
]
MarkedAs = Annotated[Marking, typer.Option("--tlp", case_sensitive=False, help="How far it may go, by TLP 2.0.")]
EpochKey = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Key that peers share, 32 bytes, called after its epoch as 2026-11.key."),
]
Also = Annotated[list[str] | None, typer.Option("--technique", metavar="ID", help="What people saw too, as AML.T0012.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command("show")(show)
    app.command("export")(export)


def show(
    case: CaseId,
    lab: LabName,
    tlp: MarkedAs = Marking.AMBER_STRICT,
    epoch_key: EpochKey = None,
    technique: Also = None,
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """Show what peers would be told of a case. Nothing is sent.

    \b
    Example:
      tiergate share show case_9f86d081 --lab lab-a.example --epoch-key 2026-11.key
    """
    import msgspec

    from tiergate.sharing.finding import ACCOUNT

    with opened(data) as worklist:
        made = made_of(worklist, data, named(worklist, case), lab, tlp, epoch_key, technique)
        stands = _stands(data, made.finding)
    told = made.finding
    if as_json:
        score = {} if stands is None else {"corroboration": msgspec.to_builtins(stands)}
        say_json(msgspec.to_builtins(told) | score)
    else:
        say(f"campaign--{told.finding_id}  {told.tlp.label}" + ("  withdrawn" if told.revoked else ""))
        say(f"  from {told.lab.name}, told {moment(told.created_us)}, as of {moment(told.modified_us)} UTC")
        say(f"  seen {moment(told.first_seen_us)} to {moment(told.last_seen_us)} UTC, confidence {told.confidence}%")
        say(f"  {_volume(told.accounts)} accounts, {_volume(told.exchanges)} exchanges")
        say(f"  after {', '.join(told.capabilities) or 'nothing in particular'}; {', '.join(told.techniques)}")
        if told.networks:
            say(f"  through {', '.join(f'AS{number}' for number in told.networks)}")
        accounts = sum(token.kind == ACCOUNT for token in told.tokens)
        say(f"  {accounts:,} hashed accounts, {len(told.tokens) - accounts:,} tokens of clients")
        if stands is not None:
            say(f"  what labs make of it: {stands}")
    for one in made.lacking:
        note(f"left out {one}")


def export(
    case: CaseId,
    lab: LabName,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The STIX 2.1 bundle to write.")],
    tlp: MarkedAs = Marking.AMBER_STRICT,
    epoch_key: EpochKey = None,
    technique: Also = None,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Write a case for peers, as STIX 2.1 under TLP 2.0.

    The same case is always the same bytes. Who exported it is noted in the case's history.

    \b
    Example:
      tiergate share export case_9f86d081 --lab lab-a.example --tlp green -o finding.json
    """
    import hashlib

    from tiergate.sharing.check import check
    from tiergate.sharing.stix import to_bytes

    writable_file(out)
    with opened(data) as worklist:
        case_id = named(worklist, case)
        made = made_of(worklist, data, case_id, lab, tlp, epoch_key, technique)
        written = to_bytes([made.finding])
        for fault in check(written, now()).faults:
            raise InputError(f"peers would refuse the bundle: {fault}; is this machine's clock right?")
        sha256 = hashlib.sha256(written).hexdigest()
        said = f"exported for peers as campaign--{made.finding.finding_id}, {made.finding.tlp.label}, sha256 {sha256}"
        worklist.note(case_id, said, author=who(author), now_us=now())
        out.write_bytes(written)
    if as_json:
        say_json({"case_id": case_id, "finding_id": made.finding.finding_id, "bundle": str(out), "sha256": sha256})
    else:
        say(f"{out}: {len(written):,} bytes, {made.finding.tlp.label}, sha256 {sha256}")
    for one in made.lacking:
        note(f"left out {one}")


def made_of(
    worklist: Worklist,
    data: Path,
    case_id: str,
    lab: str,
    tlp: Marking,
    epoch_key: Path | None,
    techniques: list[str] | None,
) -> FromCase:
    """The finding of a case by what is typed. Raises `InputError`."""
    from tiergate.cli.share_case import finding_of
    from tiergate.sharing.epochs import Epoch
    from tiergate.sharing.finding import Lab, Technique
    from tiergate.sharing.marking import Tlp

    try:
        also = [Technique(one) for one in techniques or ()]
    except ValueError as error:
        raise InputError(f"{error}: it is one of {', '.join(Technique)}") from None
    epoch = None if epoch_key is None else Epoch.read(epoch_key)
    return finding_of(worklist, data, case_id, lab=Lab.named(lab), tlp=Tlp(tlp), epoch=epoch, techniques=also)


def _stands(data: Path, told: Finding) -> Corroboration | None:
    """What labs make of a finding of ours, None where we share with nobody."""
    from tiergate.cli.share_peers import opened as opened_sharing
    from tiergate.sharing.corroboration import corroboration
    from tiergate.sharing.feedback import said_by_peers
    from tiergate.sharing.finding import Finding
    from tiergate.sharing.reading import from_objects
    from tiergate.sharing.store import DATABASE
    from tiergate.sharing.versions import OURS

    if not (data / DATABASE).is_file():
        return None
    with opened_sharing(data) as sharing:
        ours = {one.finding_id: one for one in from_objects(sharing.store.objects(OURS)) if isinstance(one, Finding)}
        # As it was told: without the epoch's key it is shown here with fewer tokens.
        return corroboration(ours.get(told.finding_id, told), said_by_peers(sharing.store, sharing.peers))


def _volume(held: int) -> str:
    from tiergate.sharing.finding import least

    return f"{least(held):,} to {max(2 * least(held) - 1, 0):,}"
