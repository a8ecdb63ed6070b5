"""`tiergate advise`: which tier and which models fit requirements, why the others do not, and a signed record of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.catalog_models import AsOf, Models, day_of
from tiergate.cli.options import Json
from tiergate.cli.outputs import writable_folder
from tiergate.cli.terminal import note, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.advice.advising import Advice


def advise(
    requirements: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="What is asked, YAML: docs/advice.md.")
    ] = None,
    as_of: AsOf = None,
    models: Models = None,
    vintage: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Vintage of Epoch's index for the scores; that shipped.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A deployment whose facts of parties say who owns the party.")
    ] = None,
    why_not: Annotated[
        str | None, typer.Option("--why-not", metavar="MODEL", help="Show all that is said of one model alone.")
    ] = None,
    draws: Annotated[int, typer.Option(metavar="N", help="Draws of weights.")] = 20_000,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the draws.")] = 1,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the record and the bill of materials.")] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Key that signs the record; made if it is not there.")
    ] = None,
    signer: Annotated[str, typer.Option(metavar="NAME", help="Whose key it is.")] = "advice",
    verify: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Check a record that was written, and what changed since.")
    ] = None,
    public_key: Annotated[
        str | None, typer.Option("--public-key", metavar="KEY", help="Who must have signed it; a key or its file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which models meet requirements, and why the others do not.

    Shows whether the classified tier is needed and the way into a programme; a short list, ranked by the share of
    weights under which each model wins; what it costs at list prices, what a vendor that vanishes costs; and the risks
    on file. What is not on file is unknown, and never counts as met. No legal advice.

    \b
    Example:
      tiergate advise requirements.yaml
      tiergate advise requirements.yaml --why-not kimi-k3
      tiergate advise requirements.yaml --out advice --key advice.key
      tiergate advise --verify advice --public-key advice/advice.pub
    """
    if verify is not None:
        _verify(verify, public_key, as_json=as_json)
        return
    if requirements is None:
        raise InputError("say what is asked: `tiergate advise FILE`, a file as docs/advice.md has one to start from")
    if key is not None and out is None:
        raise InputError("a key signs what is written: give `--out DIR` as well")
    if out is not None:
        writable_folder(out)
    from tiergate.advice.requirements import read_requirements
    from tiergate.catalog.models import load_catalog

    day = day_of(as_of)
    catalog = load_catalog() if models is None else load_catalog().with_models(models)
    # What is wrong with the file is said before the rest is loaded.
    asked = read_requirements(requirements, catalog, day)

    from tiergate.advice.advising import advise as advice_on
    from tiergate.advice.candidates import market_on
    from tiergate.catalog.scores import read_vintage, shipped
    from tiergate.cli import advise_views
    from tiergate.cli.packs import ownership_facts_of, start_us

    if asked.requirements.organisation.party and data is None:
        note("`organisation.party` counts with the facts of parties of a deployment: give `--data DIR`")
    parties = None if data is None else ownership_facts_of(data, start_us(day), needed=True)
    scores = shipped() if vintage is None else read_vintage(vintage)
    advice = advice_on(asked, market_on(catalog, day, scores, parties=parties), draws=draws, seed=seed)
    if out is not None:
        _write(advice, out, key, signer)
    if as_json:
        from tiergate.advice.record import document

        say_json(document(advice))
    elif why_not is not None:
        advise_views.say_model(advice, catalog.find(why_not))
    else:
        advise_views.say_advice(advice)


def _write(advice: Advice, out: Path, key: Path | None, signer: str) -> None:
    """Write the record and the bill into ``out``, and sign the record where there is a key."""
    import json

    from tiergate.advice.ml_bom import FILE, bill_of
    from tiergate.advice.record import NOTE, RECORD, document, encode, sign
    from tiergate.ledger.checkpoints import load_private_key

    record = encode(document(advice))
    # A note of an earlier record would be of another one.
    (out / NOTE).unlink(missing_ok=True)
    (out / RECORD).write_bytes(record)
    (out / FILE).write_text(json.dumps(bill_of(advice, record), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    written = [RECORD, FILE]
    if key is not None:
        private = load_private_key(key, signer)
        (out / NOTE).write_text(str(sign(record, private)), encoding="utf-8")
        (out / "advice.pub").write_text(f"{private.public}\n", encoding="utf-8")
        written += [NOTE, "advice.pub"]
    note(f"wrote {', '.join(written)} into `{out}`" + ("" if key else "; unsigned: give `--key FILE`"))


def _verify(folder: Path, public_key: str | None, *, as_json: bool) -> None:
    from tiergate.advice.record import read_record
    from tiergate.cli.terminal import say
    from tiergate.cli.verify import read_public_key
    from tiergate.ledger.notes import ED25519

    if public_key is None:
        raise InputError("say who must have signed it: `--public-key KEY`, from whoever made the record")
    key = read_public_key(public_key, kind=ED25519)
    kept = read_record(folder, key)
    if as_json:
        say_json({"valid": True, "signed_by": key.name, "day": kept.shown["day"], "changed": kept.stale})
        return
    say(f"valid: advice of {kept.shown['day']}, signed by {key.name}")
    for name in kept.stale:
        say(f"changed since: {name}")
    note("facts have changed: ask again" if kept.stale else "the facts that it rests on are those of this version")
