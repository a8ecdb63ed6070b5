"""`tiergate parties`: what registers and lists say of organisations, people and who owns them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.terminal import counted, moment, note, progress, say, say_json
from tiergate.clock import SystemClock
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.parties.facts import FactStore
    from tiergate.parties.snapshot import Snapshot

app = typer.Typer(
    help="Import and look up who owns whom and who is listed.", rich_markup_mode=None, add_completion=False
)

Data = Annotated[Path, typer.Option(metavar="DIR", help="The gateway's data folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
At = Annotated[str | None, typer.Option(metavar="TIME", help="What held then, ISO 8601; now by default.")]
Known = Annotated[str | None, typer.Option(metavar="TIME", help="As it was known then; all that is known by default.")]


class Kind(StrEnum):
    """Registers and lists that can be imported."""

    GLEIF = "gleif"
    GLEIF_RELATIONS = "gleif-relations"
    GLEIF_EXCEPTIONS = "gleif-exceptions"
    BODS = "bods"
    PSC = "psc"
    OPENSANCTIONS = "opensanctions"
    OFAC = "ofac"
    CSL = "csl"
    CSV = "csv"


@contextmanager
def _opened(data: Path, *, create: bool = False) -> Iterator[FactStore]:
    from tiergate.parties.on_file import DATABASE

    if create:
        data.mkdir(parents=True, exist_ok=True)
    elif not (data / DATABASE).is_file():
        raise InputError(f"`{data}` has no facts of parties: bring some in with `tiergate parties import`")
    from tiergate.database import open_database
    from tiergate.parties.facts import FactStore

    # A file of its own: an import writes for minutes, and the gateway's database must not wait for it.
    engine = open_database(data / DATABASE)
    try:
        yield FactStore(engine)
    finally:
        engine.dispose()


def _time(text: str | None) -> int | None:
    from tiergate.parties.sources.values import UnreadableError, instant

    try:
        return instant(text, "time")
    except UnreadableError as error:
        raise InputError(f"`{text}` is no time: write it as 2026-03-01 or 2026-03-01T12:00:00Z") from error


@app.command("import")
def import_(
    kind: Annotated[Kind, typer.Argument(metavar="|".join(Kind), help="What the files are.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of one register or list.")],
    data: Data = Path("data"),
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name to keep the facts under; the kind by default.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time for which the files speak; now by default.")
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="The files are all that the source knows: what they lack has ended.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Record what a register or a list says. Nothing recorded before is changed.

    Files may be packed (gzip, zstd, zip). Rows that cannot be read are kept beside the database.

    \b
    Example:
      tiergate parties import ofac sdn.csv add.csv alt.csv --complete --data data
    """
    from tiergate.parties.sources.taking import take_in
    from tiergate.records.refused import RefusedRows

    missing = [path for path in files if not path.is_file()]
    if missing:
        raise InputError(f"`{missing[0]}` is not there: give the files to import")
    now_us = SystemClock().now_us()
    as_of_us = _time(as_of)
    total, read = sum(path.stat().st_size for path in files), 0
    with _opened(data, create=True) as store:
        side_file = data / f"parties-{source or kind}.refused.jsonl".replace("/", "_")
        with RefusedRows(side_file) as refused, progress("importing") as advance:

            def passed(count: int) -> None:
                nonlocal read
                read += count
                advance(f"{read >> 20} MiB", min(0.99, read / max(1, total)))

            taken = take_in(
                store, kind, files,
                refused=refused, now_us=now_us, source=source, as_of_us=as_of_us, complete=complete, passed=passed,
            )  # fmt: skip
            advance("", 1.0)
    if refused.count:
        note(f"refused {counted(refused.count, 'row')}, kept in `{side_file}`")
        for reason, first in refused.first.items():
            note(f"  {refused.by_reason[reason]:,} x {reason.removeprefix(': ')}; first {first['file']}:{first['row']}")
    if taken.incomplete_because:
        note(f"not taken as complete, nothing ended: {taken.incomplete_because}")
    if taken.unknown_parties:
        which = counted(taken.unknown_parties, "party", "parties")
        note(f"nothing is told of {which} that stakes or entries name, the first `{taken.first_unknown}`: give ids")
    if as_json:
        result = {name: getattr(taken, name) for name in taken.__struct_fields__}
        say_json(result | {"refused": refused.count, "reasons": refused.by_reason, "first": refused.first})
        return
    counts = (counted(taken.parties, "party", "parties"), counted(taken.stakes, "stake"))
    others = (f"{taken.undisclosed:,} undisclosed", counted(taken.listings, "list entry", "list entries"))
    say(f"recorded {', '.join((*counts, *others))} as version {taken.version}")


@app.command("show")
def show(
    party: Annotated[str, typer.Argument(metavar="ID|NAME", help="pty_..., scheme:value (lei:...) or an exact name.")],
    data: Data = Path("data"),
    at: At = None,
    known: Known = None,
    as_json: Json = False,
) -> None:
    """Show what is recorded of a party: names, owners, what it owns, lists.

    \b
    Example:
      tiergate parties show "Example Holdings Ltd" --at 2026-03-01 --data data
    """
    with _opened(data) as store:
        snapshot = _snapshot(store, at, known)
    found = _find(snapshot, party)
    if not found:
        raise InputError(
            f"no party has the id or the exact name `{party}`; listed names that are like one: tiergate parties screen"
        )
    shown = [_described(snapshot, number) for number in found]
    if as_json:
        say_json(shown)
        return
    for one in shown:
        _say_party(one)
    note(f"{counted(len(shown), 'party', 'parties')}, version {snapshot.version}")


@app.command("screen")
def screen(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a person or an organisation.")],
    country: Annotated[str | None, typer.Option(metavar="XX", help="Its country; compared and shown, no more.")] = None,
    born: Annotated[
        str | None, typer.Option(metavar="DATE", help="Date of birth; compared and shown, no more.")
    ] = None,
    data: Data = Path("data"),
    at: At = None,
    known: Known = None,
    as_json: Json = False,
) -> None:
    """Look for a name on the lists that were imported, however it is spelt. A hit is a question, never a decision.

    \b
    Example:
      tiergate parties screen "Volga Stal" --data data
    """
    from tiergate.parties.listed_names import listed_names

    with _opened(data) as store:
        snapshot = _snapshot(store, at, known)
    index, unread = listed_names(snapshot)
    hits = index.screen(name, country=country, birth_date=born)
    if as_json:
        found = [
            {"id": hit.listed.reference, "name": hit.listed.name, "score": round(hit.score, 4), "kind": hit.listed.kind,
             "country": hit.country, "birth_date": hit.birth_date, "why": hit.comparison.explain().splitlines()}
            for hit in hits
        ]  # fmt: skip
        say_json({"version": snapshot.version, "names": len(index), "unreadable": unread, "hits": found})
        return
    for hit in hits:
        say(hit.explain())
    unreadable = f"; {counted(unread, 'name')} could not be read" if unread else ""
    note(f"{counted(len(hits), 'hit')} among {counted(len(index), 'listed name')}{unreadable}")


@app.command("lists")
def lists(data: Data = Path("data"), at: At = None, known: Known = None, as_json: Json = False) -> None:
    """List the lists, how many are on them, and where they came from.

    \b
    Example:
      tiergate parties lists --data data
    """
    with _opened(data) as store:
        snapshot = _snapshot(store, at, known)
    by_list: dict[str, list[int]] = {}
    for row in snapshot.listing_facts.select(["list", "import"]).to_pylist():
        by_list.setdefault(row["list"], []).append(row["import"])
    imports = {one.number: one for one in snapshot.imports}
    rows = []
    for name, numbers in snapshot.seeds.items():
        last = imports[max(by_list[name])]
        rows.append({"list": name, "parties": len(numbers), "entries": len(by_list[name]), "source": last.source,
                     "as_of": moment(last.as_of_us), "snapshot_hash": last.snapshot_hash})  # fmt: skip
    if as_json:
        say_json({"version": snapshot.version, "lists": rows})
        return
    for row in rows:
        say(f"{row['parties']:>9,}  {row['as_of']}  {row['source']:<16}  {row['list']}")
    note(f"{counted(len(rows), 'list')}, version {snapshot.version}")


def _snapshot(store: FactStore, at: str | None, known: str | None) -> Snapshot:
    at_us = _time(at)
    return store.as_of(SystemClock().now_us() if at_us is None else at_us, _time(known))


def _find(snapshot: Snapshot, text: str) -> list[int]:
    from tiergate.parties.sources.gleif import register_number
    from tiergate.parties.sources.plain import reference
    from tiergate.parties.sources.values import UnreadableError

    try:
        number = snapshot.number(reference(text, "party"))
    except UnreadableError as error:
        raise InputError("give a party's id or name") from error
    if number is not None:
        return [number]
    scheme, colon, value = text.partition(":")
    return (snapshot.identified(register_number(scheme, value)) if colon else []) or snapshot.named(text)


def _described(snapshot: Snapshot, number: int) -> dict[str, Any]:
    from tiergate.parties.fact_rows import shown_id

    records = snapshot.records(number)
    source_of = {one.number: one.source for one in snapshot.imports}
    single = ("kind", "legal_form", "incorporated_in", "headquarters")
    many = ("aliases", "previous_names", "identifiers")
    listed = [row for row in snapshot.listing_facts.to_pylist() if row["number"] == number]
    hidden = [row for row in snapshot.undisclosed_facts.to_pylist() if row["number"] == number]
    return {
        "id": [shown_id(one) for one in snapshot.ids_of(number)],
        "names": list(dict.fromkeys(row["name"] for row in records if row["name"])),
        **{name: list(dict.fromkeys(text for row in records for text in row[name])) for name in many},
        **{name: list(dict.fromkeys(row[name] for row in records if row[name])) for name in single},
        "owners": snapshot.held(number, of=True),
        "owns": snapshot.held(number, of=False),
        "lists": [{"list": row["list"], "programme": row["programme"]} for row in listed],
        "undisclosed": [{"scope": row["scope"], "reason": row["reason"]} for row in hidden],
        "sources": sorted({source_of[row["import"]] for row in [*records, *listed, *hidden]}),
    }


def _say_party(one: dict[str, Any]) -> None:
    say(f"{one['names'][0] if one['names'] else '(no name)'}  {one['id'][0]}")
    for title in ("aliases", "previous_names", "identifiers", "kind", "legal_form", "incorporated_in", "headquarters"):
        if one[title]:
            say(f"  {title.replace('_', ' ')}: {'; '.join(one[title])}")
    for title, word in (("owners", "from"), ("owns", "in")):
        for stake in one[title]:
            low, high = stake["lo_ppm"] / 10_000, stake["hi_ppm"] / 10_000
            share = f"{low:g}%" if low == high else f"{low:g}-{high:g}%"
            told = ", declared indirect" if stake["indirect"] else ""
            say(f"  {title}: {share} {stake['prong']} {word} {stake['name'] or '(no name)'} {stake['id']}{told}")
    for row in one["lists"]:
        say(f"  list: {row['list']}{' ' + row['programme'] if row['programme'] else ''}")
    for row in one["undisclosed"]:
        say(f"  undisclosed: {row['scope']}, {row['reason']}")
    say(f"  sources: {', '.join(one['sources'])}")
