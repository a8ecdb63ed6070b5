"""`tiergate packs`: rules of ownership and of persons, what they would change, and which of them bind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.terminal import counted, moment, note, say, say_json
from tiergate.clock import SystemClock
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.admission.activations import ActivationStore
    from tiergate.admission.ownership_facts import OwnershipFacts
    from tiergate.admission.preview import Person, Preview
    from tiergate.admission.rule_packs import RulePack

app = typer.Typer(
    help="Rules on who may be served: show, preview, activate.", rich_markup_mode=None, add_completion=False
)

Pack = Annotated[str, typer.Argument(metavar="PACK", help="ofac_50, or ofac_50@1 for one version; else the latest.")]
Data = Annotated[Path, typer.Option(metavar="DIR", help="The gateway's data folder.")]
Packs = Annotated[
    Path | None,
    typer.Option(metavar="DIR", envvar="TIERGATE_PACKS", help="Folder of rule packs of your own, added to ours."),
]
On = Annotated[str | None, typer.Option(metavar="DAY", help="Day, as 2026-11-10, UTC; today by default.")]
By = Annotated[list[str], typer.Option(metavar="NAME", help="Who decides; give it twice, for two people.")]
Why = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the names.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Change(StrEnum):
    """What is previewed."""

    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"


@app.command("list")
def list_(data: Data = Path("data"), packs: Packs = None, on: On = None, as_json: Json = False) -> None:
    """List the rule packs: what their text says of the day, and whether they bind.

    \b
    Example:
      tiergate packs list --on 2026-11-10 --data data
    """
    from tiergate.admission.rule_packs import load_packs, standing

    known = load_packs(packs)
    day = _day(on)
    with _activations(data) as store:
        known = store.with_kept(known) if store else known
        governing = store.governing(day) if store else {}
        epoch = store.epoch() if store else 0
        if store:
            store.active(known, day)  # says so where an activated pack is gone or was changed
    rows = []
    for pack in known.values():
        row = governing.get(pack.id)
        binds = row is not None and row.action == "activate" and row.version == pack.version
        rows.append(
            {
                "pack": pack.name,
                "kind": pack.kind,
                "text_says": standing(pack, day).value,
                "active": binds,
                "confirmed_by": row.confirmation if row is not None and binds else None,
                "title": pack.title,
            }
        )
    if as_json:
        say_json({"day": day, "epoch": epoch, "packs": rows})
        return
    for one in rows:
        binding = "active" if one["active"] else "-"
        say(f"{one['pack']:<30}  {one['kind']:<9}  {one['text_says']:<11}  {binding:<6}  {one['title']}")
    note(f"{counted(len(rows), 'rule pack')} on {day}, epoch {epoch}")


@app.command("show")
def show(pack: Pack, packs: Packs = None, as_json: Json = False) -> None:
    """Show a rule pack: parameters, days, sources, texts, and what is not decided.

    \b
    Example:
      tiergate packs show bis_affiliates
    """
    import msgspec

    from tiergate.admission.rule_packs import find_pack, load_packs

    one = find_pack(load_packs(packs), pack)
    if as_json:
        say_json(msgspec.to_builtins(one) | {"fingerprint": one.fingerprint()})
    else:
        _say_pack(one)


@app.command("preview")
def preview(
    pack: Pack,
    data: Data = Path("data"),
    packs: Packs = None,
    change: Annotated[Change, typer.Option(help="What to try.")] = Change.ACTIVATE,
    on: On = None,
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="As if the rule were confirmed where that is open.")
    ] = False,
    organisations: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ids of parties to look at, one a line; by default all, and who is on file."),
    ] = None,
    persons: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="People with access and their statements, JSONL; by default those on file."),
    ] = None,
    issuers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Trusted issuers, TOML; by default those on file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show who would be served or not if a pack were activated or deactivated. Nothing is changed.

    Looked at are all parties of the facts, and the holders of keys with the statements that are on file of them.

    \b
    Example:
      tiergate packs preview bis_affiliates --on 2026-11-10 --confirmed --data data
    """
    from tiergate.admission.on_file import on_file
    from tiergate.admission.person_classes import read_issuers
    from tiergate.admission.preview import preview as made
    from tiergate.admission.rule_packs import find_pack, load_packs

    known = load_packs(packs)
    day = _day(on)
    now_us = SystemClock().now_us()
    at_us = now_us if day == _day(None) else start_us(day)
    with _activations(data) as store:
        known = store.with_kept(known) if store else known
        one = find_pack(known, pack)
        active = store.active(known, day) if store else []
        held = on_file(store.engine) if store else None
    people = _persons(persons) if persons else held.persons if held else []
    shown = made(
        one,
        change.value,
        active,
        ownership_facts_of(data, at_us, needed=any(p.kind == "ownership" for p in (one, *(a.pack for a in active)))),
        at_us,
        confirmed=confirmed,
        organisations=_lines(organisations) if organisations else None,
        also=held.organisations if held else (),
        persons=people,
        issuers=read_issuers(_there(issuers)) if issuers else held.issuers if held else None,
        signatures_checked=persons is None and issuers is None,
    )
    if as_json:
        say_json(shown.document())
    else:
        _say_preview(shown)
    if one.kind == "person" and not people:
        note(
            "nobody was looked at: this pack is about persons, and no holder of a key is on file; name those with "
            "`tiergate holders set`, or give those with access with --persons"
        )


@app.command("drill")
def drill(
    data: Data = Path("data"),
    packs: Packs = None,
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A model that the order closes; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the June drill in a copy of the deployment: who keeps and who loses models if such an order came now.

    \b
    Example:
      tiergate packs drill --model classified-1 --model frontier-small --data data
    """
    import msgspec

    from tiergate.admission.drill import drill as run

    done = run(data, model or (), SystemClock().now_us(), packs=packs)
    if as_json:
        say_json(msgspec.to_builtins(done))
        return
    for group in done.groups:
        reasons = f"  {', '.join(group.reasons)}" if group.reasons else ""
        fared = f"{group.before:<6}  {group.during:<6}  {group.after:<6}"
        say(f"{group.model:<24}  {group.attested:<10}  {fared}  {group.holders:>9,}{reasons}")
    note(
        f"{done.pack} over {', '.join(done.models)}, in a copy: {done.loses:,} would lose access, {done.keeps:,} "
        f"keep it; lifted again, {'all stood as before' if done.restored else 'NOT all stood as before'}"
    )
    if done.carried:
        note(f"{counted(done.carried, 'statement')} of an earlier version would have to be signed anew in earnest")


@app.command("activate")
def activate(
    pack: Pack,
    by: By,
    why: Why,
    data: Data = Path("data"),
    packs: Packs = None,
    on: On = None,
    confirm: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Source that says the rule is in force, where its text leaves it open."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a pack bind from a day on, in the name of two people. Preview it first.

    \b
    Example:
      tiergate packs activate ofac_50 --by "A. Lee" --by "B. Roy" --why "terms of 1 December" --data data
    """
    _record(pack, Change.ACTIVATE, by, why, data, packs, on, confirm, as_json)


@app.command("deactivate")
def deactivate(
    pack: Pack,
    by: By,
    why: Why,
    data: Data = Path("data"),
    packs: Packs = None,
    on: On = None,
    as_json: Json = False,
) -> None:
    """End a pack from a day on, in the name of two people.

    \b
    Example:
      tiergate packs deactivate june_order --by "A. Lee" --by "B. Roy" --why "order lifted" --data data
    """
    _record(pack, Change.DEACTIVATE, by, why, data, packs, on, None, as_json)


def _record(
    pack: str,
    change: Change,
    by: list[str],
    why: str,
    data: Path,
    packs: Path | None,
    on: str | None,
    confirm: str | None,
    as_json: bool,
) -> None:
    import msgspec

    from tiergate.admission.rule_packs import Standing, find_pack, load_packs, standing

    if len(by) != 2:
        raise InputError("a pack is activated or deactivated by two people: give `--by` twice")
    day = _day(on)
    with _activations(data, needed=True) as store:
        assert store is not None
        one = find_pack(store.with_kept(load_packs(packs)), pack)
        now_us = SystemClock().now_us()
        row = store.record(
            one, change.value, day=day, names=(by[0], by[1]), reason=why, now_us=now_us, confirmation=confirm
        )
    if as_json:
        say_json(msgspec.to_builtins(row))
        return
    say(
        f"{change.value}d {one.name} from {row.effective_day}, epoch {row.epoch}, by {row.first_name} and "
        f"{row.second_name}"
    )
    said = standing(one, day)
    if change is Change.ACTIVATE and said not in (Standing.IN_FORCE, Standing.UNCONFIRMED):
        note(f"by its own text `{one.name}` is {said.value} on that day and bars nobody until that changes")
    if change is Change.ACTIVATE and _binds_no_model(one, data):
        note(f"`{data / 'models.toml'}` lists no model that `{one.name}` applies to: it binds nobody until it does")


def _binds_no_model(pack: RulePack, data: Path) -> bool:
    from tiergate.admission.models import FILE, read_models
    from tiergate.admission.rule_packs import AppliesTo

    try:
        listed = read_models(data / FILE).by_name.values()
    except InputError:
        return False  # the gateway complains of the file itself
    return not any(pack.applies_to.meets(AppliesTo(tiers=(one.tier,), models=(one.model,))) for one in listed)


@contextmanager
def _activations(data: Path, *, needed: bool = False) -> Iterator[ActivationStore | None]:
    """The store in ``data``; None where there is no gateway's data folder and it is not ``needed``."""
    database = data / "control.sqlite"
    if not database.is_file():
        if needed:
            raise InputError(f"`{data}` is not a gateway's data folder: make one with `tiergate keys create`")
        yield None
        return
    from tiergate.admission.activations import ActivationStore
    from tiergate.database import open_database

    engine = open_database(database)
    try:
        yield ActivationStore(engine)
    finally:
        engine.dispose()


def ownership_facts_of(data: Path, at_us: int, *, needed: bool) -> OwnershipFacts:
    """Facts of parties of the deployment in ``data`` at a time; none where there are none and none are ``needed``."""
    from tiergate.admission.ownership_facts import facts_of, no_facts
    from tiergate.database import open_database
    from tiergate.parties.facts import FactStore
    from tiergate.parties.on_file import DATABASE

    if not (data / DATABASE).is_file():
        if needed:
            raise InputError(f"`{data}` has no facts of parties: bring some in with `tiergate parties import`")
        return no_facts()
    engine = open_database(data / DATABASE)
    try:
        return facts_of(FactStore(engine).as_of(at_us))
    finally:
        engine.dispose()


def _persons(path: Path) -> list[Person]:
    import msgspec

    from tiergate.admission.preview import Person

    people = []
    for number, line in enumerate(_lines(path), 1):
        try:
            people.append(msgspec.json.decode(line, type=Person))
        except msgspec.DecodeError as error:
            said = f"{str(error)[:1].lower()}{str(error)[1:]}"
            raise InputError(f"`{path}`, person {number}: {said}; nationality and papers have no place here") from error
    return people


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in _there(path).read_text(encoding="utf-8").splitlines() if line.strip()]


def _there(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"`{path}` is not there, or is no file")
    return path


def _day(text: str | None) -> date:
    from tiergate.admission.activations import day_of

    if text is None:
        return day_of(SystemClock().now_us())
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"`{text}` is no day: write it as 2026-11-10") from error


def start_us(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp()) * 1_000_000


def _say_pack(pack: RulePack) -> None:
    import msgspec

    say(f"{pack.name}  {pack.title}  ({pack.kind}; what is not known: {pack.unknown})")
    tables: dict[str, Any] = msgspec.to_builtins(pack)
    for title in ("applies_to", "seeds", "test", "person"):
        for key, value in (tables[title] or {}).items():
            shown = " ".join(value) if isinstance(value, list | tuple) else value
            if shown not in ("", False):
                say(f"  {title}.{key}: {shown}")
    for period in pack.periods:
        say(f"  {period.status}: {period.valid_from} to {period.valid_to or 'open'}{_after(period.note)}")
    for source in pack.sources:
        say(f"  source: {source.title}, read {source.read or 'from memory'}, {source.licence}: {source.covers}")
        say(f"    {source.url}")
    for question in pack.undecided:
        say(f"  not decided: {question}")
    say(f"  customers read: {pack.customer_text}")
    say(f"  on appeal: {pack.appeal_text}")


def _say_preview(shown: Preview) -> None:
    from tiergate.admission.wanted_facts import MOST_SETTLED

    say(shown.table())
    for kind, counts in shown.counts.items():
        if counts:
            say(f"{kind}: {', '.join(f'{change} {count:,}' for change, count in counts.items())}")
    for row in shown.rows:
        for text in row.would_settle:
            say(f"{row.id} would be settled by {text}")
    for row in shown.rows:
        for one in row.notes:
            note(f"{row.id}: {one}")
    if shown.not_known > MOST_SETTLED:
        note(
            f"what would settle it was looked for at {MOST_SETTLED} of {shown.not_known:,} organisations that are not "
            "known: name those that you want with --organisations"
        )
    note(f"{counted(shown.flips, 'outcome')} would change at {moment(shown.at_us)}; by its text {shown.standing}")


def _after(text: str) -> str:
    return f", {text}" if text else ""
