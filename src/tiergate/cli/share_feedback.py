"""`tiergate share opinion`, `sighting`, `match`, `clear` and `history`: what we make of what peers tell."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import Author, Data, Json, now, who
from tiergate.cli.share_exchange import rounds
from tiergate.cli.share_finding import LabName
from tiergate.cli.share_peers import Sharing, opened
from tiergate.cli.terminal import counted, moment, note, say, say_json, visible
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.cli.share_leads import Met
    from tiergate.response.leads import Signal
    from tiergate.sharing.feedback import Heard

FindingId = Annotated[
    str, typer.Argument(metavar="FINDING", help="Id of a finding that a peer told, or its beginning.")
]
FindingOrJoint = Annotated[
    str, typer.Argument(metavar="FINDING", help="Id of a finding, or its beginning; or `joint_...` of a joint cluster.")
]
Why = Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays here, and no peer reads it.")]
MOST_SHOWN = 20


class Agreement(StrEnum):
    """Opinions, as `sharing.finding` has them; written out here, so that `--help` answers at once."""

    STRONGLY_DISAGREE = "strongly-disagree"
    DISAGREE = "disagree"
    NEUTRAL = "neutral"
    AGREE = "agree"
    STRONGLY_AGREE = "strongly-agree"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command("opinion")(opinion)
    app.command("sighting")(sighting)
    app.command("match")(match)
    app.command("clear")(clear)
    app.command("history")(history)


def opinion(
    finding: FindingId,
    view: Annotated[Agreement, typer.Argument(metavar="VIEW", help="Such as agree or disagree.")],
    lab: LabName,
    why: Why,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Tell peers whether you agree with a finding, after a review of your own; the newest counts.

    Who disagrees does nothing about it any more: what it did here is taken back at once.

    \b
    Example:
      tiergate share opinion campaign--9f86 disagree --lab lab-b.example --why "a class of students"
    """
    from tiergate.cli import case_views
    from tiergate.cli.share_leads import lead_of, source_of
    from tiergate.response.leads import Leads
    from tiergate.sharing.feedback import AGAINST, tell_opinion
    from tiergate.sharing.finding import Lab, View

    if not why.strip():
        raise InputError("say why: whoever reads the history later asks")
    with opened(data) as sharing:
        one, now_us = _named(sharing, finding), now()
        tell_opinion(sharing.store, one, Lab.named(lab), View(view.value), now_us)
        with case_views.opened(data) as worklist:
            leads, name = Leads(worklist.desk), lead_of(one)
            leads.note(name, source_of(one), f"told peers: {view.value}; {why}", author=who(author), now_us=now_us)
            if View(view.value) in AGAINST:
                leads.lift(name, author=who(author), now_us=now_us, reason=why)
        rounds(sharing.peers.every(), sharing.exchange.push, as_json)


def sighting(
    finding: FindingId,
    lab: LabName,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Own accounts; peers are told a power of two.")],
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Tell peers that you met a finding in your own traffic.

    \b
    Example:
      tiergate share sighting campaign--9f86 --count 12 --lab lab-b.example
    """
    from tiergate.cli import case_views
    from tiergate.cli.share_leads import lead_of, source_of
    from tiergate.response.leads import Leads
    from tiergate.sharing.feedback import tell_sighting
    from tiergate.sharing.finding import Lab

    with opened(data) as sharing:
        one, now_us = _named(sharing, finding), now()
        tell_sighting(sharing.store, one, Lab.named(lab), count, now_us)
        with case_views.opened(data) as worklist:
            said, name = f"told peers: met it, {counted(count, 'account')}", lead_of(one)
            Leads(worklist.desk).note(name, source_of(one), said, author=who(author), now_us=now_us)
        rounds(sharing.peers.every(), sharing.exchange.push, as_json)


def match(
    lab: LabName,
    finding: Annotated[
        str | None, typer.Argument(metavar="[FINDING]", help="This one alone, by its id or the beginning of it.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Ask the accounts that it touches to verify themselves; needs FINDING.")
    ] = False,
    keys: Annotated[
        Path | None,
        typer.Option("--epoch-keys", metavar="DIR", help="Keys that peers share; DATA/epochs if not given."),
    ] = None,
    joint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Joint clusters too, as `share lab read --json` prints them.")
    ] = None,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """List own accounts that have something of what peers tell, and what.

    An account is touched where it is itself told of, or agrees in a network and a client. With --apply after a review
    of your own, those are asked to verify themselves; nothing stricter comes of it, and it ends by itself.

    \b
    Example:
      tiergate share match campaign--9f86 --apply --lab lab-b.example
    """
    import msgspec

    from tiergate.cli import case_views
    from tiergate.response.leads import Leads

    if apply and finding is None and joint is None:
        raise InputError("name the finding that you reviewed: --apply does not take all of them at once")
    found = [] if finding is None and joint is not None else _met(data, finding, lab, keys)
    clusters = [] if joint is None else _joint(data, joint)
    changed = 0
    if apply:
        with case_views.opened(data) as worklist:
            for signal in (*(one.signal() for one in found), *clusters):
                changed += Leads(worklist.desk).raised(
                    signal, author=who(author), now_us=now(), reason="reviewed, and applied by hand"
                )
    if as_json:
        joined = [{"lead_id": one.lead_id, "source": one.source, "accounts": one.accounts} for one in clusters]
        say_json(msgspec.to_builtins({"findings": [_row(one) for one in found], "joint": joined, "verdicts": changed}))
        return
    for one in found:
        _show(one)
    for cluster in clusters:
        accounts = ", ".join(list(cluster.accounts)[:MOST_SHOWN])
        say(visible(f"{cluster.source}  {counted(len(cluster.accounts), 'account')}: {accounts}"))
    if apply:
        note(f"{counted(changed, 'verdict')} changed")


def clear(
    finding: FindingOrJoint,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.")],
    data: Data = Path("data"),
    author: Author = None,
) -> None:
    """Free an account of what a shared finding did, for good: it was verified, or it was a mistake.

    \b
    Example:
      tiergate share clear campaign--9f86 acct-7 --reason "verified by invoice"
    """
    from tiergate.cli import case_views
    from tiergate.response.leads import Leads

    name = _lead(data, finding)
    with case_views.opened(data) as worklist:
        Leads(worklist.desk).clear(name, account, author=who(author), now_us=now(), reason=reason)
    say(f"cleared {visible(account)}")


def history(finding: FindingOrJoint, data: Data = Path("data"), as_json: Json = False) -> None:
    """Show what was done about a finding here, by whom and why.

    \b
    Example:
      tiergate share history campaign--9f86
    """
    import msgspec

    from tiergate.cli import case_views
    from tiergate.response.leads import Leads

    name = _lead(data, finding)
    with case_views.opened(data) as worklist:
        changes = Leads(worklist.desk).history(name)
    if as_json:
        say_json([msgspec.to_builtins(one) | {"state": msgspec.json.decode(one.state)} for one in changes])
        return
    for one in changes:
        say(visible(f"{moment(one.at_us)}  {one.author}  {one.action}  {one.reason}"))
    note(counted(len(changes), "change"))


def _lead(data: Path, name: str) -> str:
    """What verdicts call a finding, or a joint cluster, `joint_...`."""
    from tiergate.cli.share_leads import lead_of

    if name.startswith("joint_"):
        return name
    with opened(data) as sharing:
        return lead_of(_named(sharing, name))


def _named(sharing: Sharing, name: str) -> Heard:
    from tiergate.sharing.feedback import heard

    wanted = name.removeprefix("campaign--")
    fitting = [
        one for one in heard(sharing.store, sharing.peers) if wanted and one.finding.finding_id.startswith(wanted)
    ]
    if len(fitting) != 1:
        said = f"{len(fitting)} findings begin with" if fitting else "no peer told a finding that begins with"
        raise InputError(f"{said} `{name}`: see `tiergate share received`")
    return fitting[0]


def _met(data: Path, finding: str | None, lab: str, keys: Path | None) -> list[Met]:
    from tiergate.cli.share_leads import epoch_keys, met
    from tiergate.response.ladder import FILE, load_policy
    from tiergate.sharing.feedback import heard
    from tiergate.sharing.finding import Lab

    with opened(data) as sharing:
        known = heard(sharing.store, sharing.peers) if finding is None else [_named(sharing, finding)]
    gone = known[0].gone() if finding is not None else None
    if gone is not None:
        raise InputError(f"nothing can rest on `{finding}`: {gone}")
    standing = [one for one in known if one.gone() is None]
    folder = keys or data / load_policy(data / FILE).sharing.epoch_keys
    return met(data, standing, epoch_keys(folder), Lab.named(lab))


def _joint(data: Path, joint: Path) -> list[Signal]:
    from tiergate.cli.options import deployment
    from tiergate.cli.share_joint_leads import signals_of

    with deployment(data) as held:
        return signals_of(joint, held.registry)


def _row(one: Met) -> dict[str, object]:
    return {
        "finding_id": one.heard.finding.finding_id,
        "peer": one.heard.peer.name,
        "corroboration": one.heard.corroboration,
        "matches": one.matches,
    }


def _show(one: Met) -> None:
    told = one.heard
    say(f"campaign--{told.finding.finding_id}  {told.peer.name}  {told.corroboration}")
    for each in one.matches[:MOST_SHOWN]:
        say(visible(f"  {each.account_id}  {', '.join(each.by)}{'' if each.touches else '  too little to act upon'}"))
    if len(one.matches) > MOST_SHOWN:
        say(f"  and {len(one.matches) - MOST_SHOWN:,} more")
    say(f"  {counted(len(one.touched), 'account')} touched of {counted(len(one.matches), 'match', 'matches')}")
