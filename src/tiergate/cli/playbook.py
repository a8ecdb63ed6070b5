"""`tiergate playbook`: use cases with their controls, checked against this deployment, and go or no-go."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tiergate.cli.options import Json, end_of, now
from tiergate.cli.terminal import counted, note, say, say_json
from tiergate.clock import DAY
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.advice.playbooks.adoption import Adoption
    from tiergate.advice.playbooks.findings import Finding
    from tiergate.advice.playbooks.kpis import Measured
    from tiergate.advice.playbooks.playbook import Playbook
    from tiergate.cli.playbook_live import Probe

app = typer.Typer(
    help="Use cases: which controls are in force, and go or no-go.", rich_markup_mode=None, add_completion=False
)
NOT_IN_FORCE: Final = 1
"""Exit code where a control is not in force, or a probe fails."""
WINDOW_DAYS: Final = 30

Name = Annotated[str, typer.Argument(metavar="NAME", help="A playbook of `tiergate playbook list`, or a .yaml file.")]
Data = Annotated[Path, typer.Option(metavar="DIR", help="The gateway's data folder.")]
Routes = Annotated[
    Path | None, typer.Option(envvar="TIERGATE_ROUTES", metavar="FILE", help="File of routes, if elsewhere.")
]
Packs = Annotated[
    Path | None, typer.Option(envvar="TIERGATE_PACKS", metavar="DIR", help="Folder of rule packs of your own.")
]
Live = Annotated[
    bool, typer.Option("--live", help="Also send requests through a gateway in a sandbox, with a copy of the data.")
]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="A day, UTC.")]


@app.command("list")
def list_(data: Data = Path("data"), as_json: Json = False) -> None:
    """List the playbooks, and who adopted them here.

    \b
    Example:
      tiergate playbook list
    """
    from tiergate.advice.playbooks.adoption import FILE, read_adoptions
    from tiergate.advice.playbooks.playbook import shipped_playbooks

    adopted = read_adoptions(data / FILE)
    rows = [
        {
            "playbook": one.id,
            "name": one.name,
            "tiers": list(one.gates.tiers),
            "accountable": adopted[one.id].owners.get("accountable") if one.id in adopted else None,
            "review_by": adopted[one.id].review_by if one.id in adopted else None,
        }
        for one in shipped_playbooks().values()
    ]
    if as_json:
        say_json(rows)
        return
    for row in rows:
        whose = f"{row['accountable']}, review by {row['review_by']}" if row["review_by"] else "-"
        say(f"{row['playbook']:<18}  {row['name']:<43}  {whose}")


@app.command("show")
def show(
    name: Name,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print the file itself, to change it.")] = False,
    as_json: Json = False,
) -> None:
    """Show a playbook: whom it is for, what it asks, what it does not cover, and how to adopt it.

    \b
    Example:
      tiergate playbook show support_assistant
    """
    from importlib.resources import files

    import msgspec

    from tiergate.advice.playbooks.adoption import FILE, example
    from tiergate.advice.playbooks.decision import bounds
    from tiergate.advice.playbooks.playbook import find_playbook, wanted

    playbook = find_playbook(name)
    if as_yaml:
        path = files("tiergate.advice.playbooks") / f"{name}.yaml" if not name.endswith(".yaml") else Path(name)
        say(path.read_text(encoding="utf-8").rstrip())
        return
    if as_json:
        say_json(msgspec.to_builtins(playbook))
        return
    say(f"{playbook.name}: {playbook.text}")
    gates = playbook.gates
    say(f"for {', '.join(gates.tasks)}; {gates.eligibility}; models: {', '.join(gates.tiers)}")
    for code, text in playbook.gates.not_for.items():
        say(f"  not for  {code}: {text}")
    for role, answers_for in playbook.owners.items():
        say(f"  owner  {role}: {answers_for}")
    for control, asks in wanted(playbook).items():
        said = "" if asks is True else f": {msgspec.json.encode(asks).decode()}"
        say(f"  control  {control}{said}")
    for kpi, threshold in playbook.kpis.items():
        say(f"  figure  {kpi}: {bounds(kpi, threshold)}")
    for what, why in playbook.not_offered.items():
        say(f"  not offered  {what}: {why}")
    for line in playbook.not_covered:
        say(f"  not covered  {line}")
    note(f"to adopt it, write into {FILE} in the data folder:")
    say(example(playbook, datetime.fromtimestamp(now() / 1e6, UTC).date()))


@app.command("check")
def check(
    name: Name,
    data: Data = Path("data"),
    routes: Routes = None,
    packs: Packs = None,
    live: Live = False,
    as_json: Json = False,
) -> None:
    """Check that each control of a playbook is in force here. Exit code 1 where one is not, or is not known.

    It reads the files and databases of the data folder, and says what to do. --live starts a gateway of its own on
    loopback, with a copy of the data and a stand-in for the models, and shows that it refuses what it has to.

    \b
    Example:
      tiergate playbook check support_assistant --data data --live
    """
    checked = _Checked(find(name), data, routes, packs, live=live)
    if as_json:
        say_json(checked.document())
    else:
        _say_findings(checked.findings)
        _say_probes(checked.probes)
        for what, why in checked.playbook.not_offered.items():
            say(f"{'not offered':<13}  {what}: {why}")
    if not checked.in_force:
        raise typer.Exit(NOT_IN_FORCE)


@app.command("report")
def report(
    name: Name,
    data: Data = Path("data"),
    routes: Routes = None,
    packs: Packs = None,
    since: Day = None,
    until: Day = None,
    outcomes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV of outcomes, as `tiergate outcomes` reads it.")
    ] = None,
    live: Live = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report: .md or .html.")] = None,
    as_json: Json = False,
) -> None:
    """Say go or no-go, from controls that are in force and figures that were measured.

    Figures are of the last 30 days unless you say otherwise. A control that is not known, or a figure that was not
    measured, is a no-go. The report maps what was found to NIST AI RMF, ISO/IEC 42001 and the EU AI Act, clause by
    clause, and says what it does not cover. No legal advice.

    \b
    Example:
      tiergate playbook report support_assistant --outcomes outcomes.csv --out report.html
    """
    from tiergate.advice.playbooks.clauses import pack_of
    from tiergate.advice.playbooks.decision import decide
    from tiergate.advice.playbooks.kpis import judge
    from tiergate.cli.playbook_report import document, markdown, write_report

    if out is not None and out.suffix not in (".md", ".html"):
        raise InputError(f"`{out}` is neither a .md nor a .html file")
    checked = _Checked(find(name), data, routes, packs, live=live)
    to_us = checked.now_us if until is None else end_of(until, 0)
    from_us = to_us - WINDOW_DAYS * DAY if since is None else end_of(since, 0)
    measured = _measured(data, checked.adoption, from_us, to_us, outcomes)
    kpis = judge(checked.playbook, measured)
    decision = decide(checked.findings, kpis, [f"probe: {one.said}" for one in checked.probes if not one.passed])
    made = document(
        checked.playbook, checked.adoption, checked.findings, checked.probes, measured, kpis, decision,
        pack_of(checked.playbook, checked.findings, kpis), from_us=from_us, to_us=to_us, now_us=checked.now_us,
    )  # fmt: skip
    if out is not None:
        write_report(made, out)
        note(f"wrote {out}")
    if as_json:
        say_json(made)
    elif out is None:
        say(markdown(made))
    else:
        say("go" if decision.go else f"no-go, for {counted(len(decision.against), 'reason')}")
        for reason in decision.against:
            say(f"  {reason}")


def find(name: str) -> Playbook:
    """The playbook; imports are loaded when a command runs."""
    from tiergate.advice.playbooks.playbook import find_playbook

    return find_playbook(name)


class _Checked:
    """A playbook checked against a deployment, with what probes showed."""

    def __init__(self, playbook: Playbook, data: Path, routes: Path | None, packs: Path | None, *, live: bool) -> None:
        from tiergate.advice.playbooks.adoption import FILE, read_adoptions
        from tiergate.advice.playbooks.checking import check as checks
        from tiergate.cli.playbook_reading import configuration_of

        self.playbook, self.now_us = playbook, now()
        here = configuration_of(data, routes, packs, self.now_us)
        adoptions = read_adoptions(data / FILE)
        self.adoption: Adoption | None = adoptions.get(playbook.id)
        for close in difflib.get_close_matches(playbook.id, adoptions, 1) if self.adoption is None else ():
            note(f"`{data / FILE}` has `[{close}]`: call it `[{playbook.id}]` if that is meant")
        self.findings: list[Finding] = checks(playbook, self.adoption, here, self.now_us)
        self.probes: list[Probe] = []
        if live:
            from tiergate.cli.playbook_live import probe

            if self.adoption is None:
                raise InputError(f"nobody adopted `{playbook.id}`: a probe would not know whose requests to send")
            self.probes = probe(data, routes, packs, self.adoption, self.findings, here)

    @property
    def in_force(self) -> bool:
        return all(one.state == "in force" for one in self.findings) and all(one.passed for one in self.probes)

    def document(self) -> dict[str, Any]:
        import msgspec

        return {
            "playbook": self.playbook.id,
            "in_force": self.in_force,
            "controls": msgspec.to_builtins(self.findings),
            "probes": msgspec.to_builtins(self.probes),
            "not_offered": self.playbook.not_offered,
        }


def _measured(data: Path, adoption: Adoption | None, from_us: int, to_us: int, outcomes: Path | None) -> Measured:
    from tiergate.advice.outcomes import READ, arm_figures, costs_by_arm
    from tiergate.advice.playbooks.kpis import COLUMNS, Measured, measure
    from tiergate.cli.outcomes import read_outcomes
    from tiergate.ledger.log import is_log, read_log

    if adoption is None:
        why = "nobody adopted the playbook, so no exchange is known to be its"
        return Measured(figures={}, refusals={}, usd=0.0, missing={}, otherwise=why)
    log = data / "log"
    arms = []
    if outcomes is not None:
        read = read_outcomes(outcomes)
        costs = costs_by_arm(read, read_log(log, columns=READ) if is_log(log) else ())
        arms = [arm_figures(name, one) for name, one in costs.items()]
    batches = read_log(log, columns=COLUMNS) if is_log(log) else ()
    return measure(batches, adoption, from_us=from_us, to_us=to_us, outcomes=arms)


def _say_findings(findings: list[Finding]) -> None:
    width = max(len(one.control) for one in findings)
    for one in findings:
        stated = " (stated)" if one.stated and one.state == "in force" else ""
        say(f"{one.state:<13}  {one.control:<{width}}  {one.because[0]}{stated}")
        for line in one.because[1:]:
            say(f"{'':<13}  {'':<{width}}  {line}")
        for line in one.do:
            say(f"{'':<13}  {'':<{width}}  -> {line}")


def _say_probes(probes: list[Probe]) -> None:
    for one in probes:
        say(f"{'shown' if one.passed else 'not shown':<13}  {one.control}: {one.said}")
