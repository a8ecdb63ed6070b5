"""`tiergate routes`: check a file of routes, and see whom a request would go to and why."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.options import Json, now
from tiergate.cli.terminal import counted, note, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.gateway.routing.candidates import Candidate
    from tiergate.gateway.routing.router import Route
    from tiergate.gateway.routing.routes import Routes
    from tiergate.gateway.routing.strategies import Ask

app = typer.Typer(help="Check and explain routing among models.", rich_markup_mode=None, add_completion=False)

Data = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Data folder with models.toml; the file's own if not given.")
]
PICO = 10**12


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of routes, such as gateway.yaml.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Check a file of routes as the gateway would. Exit code 2 where it would not be taken over.

    \b
    Example:
      tiergate routes check data/gateway.yaml
    """
    from tiergate.gateway.routing.routes import FaultyRoutesError

    try:
        routes = _read(file, data)
    except FaultyRoutesError as error:
        if as_json:
            say_json({"file": str(file), "faults": error.faults})
        else:
            for fault in error.faults:
                say(f"{file}, {fault}")
        raise InputError(f"`{file}` cannot be used: {counted(len(error.faults), 'fault')}") from error
    variables = sorted({one.key_env for one in routes.upstreams.values() if one.key_env})
    absent = [name for name in variables if not os.environ.get(name)]
    groups = {name: group for name, group in routes.groups.items() if name not in routes.candidates}
    if as_json:
        rows = {
            name: {
                "strategy": group.strategy,
                "tier": group.candidates[0].tier,
                "candidates": [one.name for one in group.candidates],
                "offered": [one.name for one in group.offered],
            }
            for name, group in groups.items()
        }
        shown = {"file": str(file), "faults": [], "upstreams": [*routes.upstreams], "models": [*routes.candidates]}
        say_json(shown | {"groups": rows, "variables_not_set_here": absent})
        return
    counts = counted(len(routes.upstreams), "upstream"), counted(len(routes.candidates), "model")
    say(f"{file} can be used: {', '.join(counts)}, {counted(len(groups), 'group')}")
    for name, group in groups.items():
        offered = f"; offered: {', '.join(one.name for one in group.offered)}" if group.offered else ""
        tier = f"{group.candidates[0].tier}, " if group.candidates[0].tier else ""
        say(f"  {name}  {tier}{group.strategy}: {', '.join(one.name for one in group.candidates)}{offered}")
    for variable in absent:
        note(f"the environment variable `{variable}` is not set here; the gateway needs it")


@app.command("explain")
def explain(
    model: Annotated[str, typer.Option(metavar="NAME", help="Group or model, as a caller names it.")],
    file: Annotated[
        Path | None, typer.Option("--routes", envvar="TIERGATE_ROUTES", metavar="FILE",
                                  help="File of routes; gateway.yaml in the data folder if not given."),
    ] = None,
    data: Annotated[Path, typer.Option(metavar="DIR", help="The gateway's data folder.")] = Path("data"),
    tools: Annotated[bool, typer.Option("--tools", help="The request offers tools.")] = False,
    vision: Annotated[bool, typer.Option("--vision", help="It holds images.")] = False,
    structured_output: Annotated[bool, typer.Option("--structured-output", help="It asks for a JSON schema.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="It asks for a stream.")] = False,
    input_tokens: Annotated[int, typer.Option(min=0, metavar="N", help="Tokens of the request.")] = 1_000,
    max_tokens: Annotated[int | None, typer.Option(min=0, metavar="N", help="Its limit on the answer.")] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Header x-tiergate-require-NAME, such as region=eu; may be repeated."),
    ] = None,
    session: Annotated[str | None, typer.Option(metavar="TEXT", help="Session, for sticky groups.")] = None,
    account: Annotated[str, typer.Option(metavar="ID", help="Account, for its policy.")] = "",
    organisation: Annotated[str | None, typer.Option(metavar="ID", help="Organisation, for its policy.")] = None,
    key: Annotated[str, typer.Option(metavar="ID", help="Key, for its policy.")] = "",
    on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Day of the prices; today by default.")
    ] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Show who would be asked for a request, and in which order.

    It says why the others would not. It is the answer of a gateway that has just started: nothing is measured, no
    upstream has failed. Whom admission lets use which model is not asked.

    \b
    Example:
      tiergate routes explain --model chat --tools --input-tokens 20000 --require region=eu
    """
    import random

    from tiergate.gateway.routing.reload import FILE
    from tiergate.gateway.routing.requirements import from_headers, of_request
    from tiergate.gateway.routing.router import Router
    from tiergate.gateway.routing.routes import FaultyRoutesError
    from tiergate.gateway.routing.strategies import Ask, affinity

    path = data / FILE if file is None else file
    try:
        routes = _read(path, data)
    except FaultyRoutesError as error:
        raise InputError(f"`{path}` cannot be used: {error}") from error
    group = routes.group(model)
    if group is None:
        raise InputError(f"there is no group or model `{model}` in `{path}`: there are {', '.join(routes.groups)}")
    required = of_request(
        tools=tools, vision=vision, structured_output=structured_output, stream=stream, input_tokens=input_tokens,
        max_tokens=max_tokens,
    )  # fmt: skip
    required &= from_headers([_header(one) for one in require or ()])
    required &= routes.policy(organisation_id=organisation, account_id=account, credential_id=key)
    ask = Ask(
        required=required, input_tokens=input_tokens, max_tokens=max_tokens, affinity=affinity(account, session=session)
    )
    now_us = now() if on is None else int(on.replace(tzinfo=UTC).timestamp()) * 1_000_000
    route = Router(lambda: 0.0, random.Random(0)).route(group, ask, now_us)  # noqa: S311, a lot and no secret
    if as_json:
        say_json(_document(route, ask, now_us))
    else:
        _say(route, ask, now_us, by_lot=_by_lot(group.strategy, ask))


def _read(path: Path, data: Path | None) -> Routes:
    """The file as the gateway reads it, but without its keys, which need not be here."""
    from tiergate.admission.models import FILE, read_models
    from tiergate.gateway.routing.reload import read

    return read(path, read_models((path.parent if data is None else data) / FILE), None)


def _header(given: str) -> tuple[bytes, bytes]:
    name, equals, value = given.partition("=")
    if not equals:
        raise InputError(f"`--require {given}` has no value: write it as region=eu")
    return f"x-tiergate-require-{name}".encode(), value.encode()


def _by_lot(strategy: str, ask: Ask) -> str | None:
    """What the order rests on where it is not the same for every such request."""
    if strategy == "fastest":
        return "by lot, as nothing is measured yet"
    if strategy == "weighted":
        return "by lot, as the weights say"
    return "by lot, as the request has no session" if strategy == "sticky" and ask.affinity is None else None


def _document(route: Route, ask: Ask, now_us: int) -> dict[str, Any]:
    refusal = None if route.ordered else route.refusal()
    return {
        "model": route.group.name,
        "strategy": route.group.strategy,
        "order": _by_lot(route.group.strategy, ask) or "the same for every such request",
        "asked": [_row(one, ask, now_us) for one in route.ordered],
        "excluded": [
            {"model": name, "reasons": [{"code": one.code, "text": one.text} for one in found]}
            for name, found in route.excluded.items()
        ],
        "offer": route.offer(),
        "refusal": None if refusal is None else {"status": refusal.status, "code": refusal.code},
    }


def _row(one: Candidate, ask: Ask, now_us: int) -> dict[str, Any]:
    from tiergate.gateway.routing.strategies import cost

    return {
        "model": one.name,
        "upstream": one.upstream.name,
        "upstream_model": one.upstream_model,
        "region": one.region,
        "retention_days": one.retention_days,
        "origin": one.origin,
        "tier": one.tier,
        "expected_usd": round(cost(one, ask, now_us) / PICO, 9),
    }


def _say(route: Route, ask: Ask, now_us: int, *, by_lot: str | None) -> None:
    say(f"{route.group.name}, {route.group.strategy}{f' ({by_lot})' if by_lot else ''}")
    width = max(len(one.name) for one in route.group.candidates)
    for place, one in enumerate(route.ordered, 1):
        row = _row(one, ask, now_us)
        known = [str(row[name]) for name in ("upstream", "region", "origin") if row[name] is not None]
        if one.retention_days is not None:
            known.append(f"kept {one.retention_days} days")
        say(f"  {place}  {one.name:<{width}}  expected {row['expected_usd']:.6f} USD  at {', '.join(known)}")
    for name, found in route.excluded.items():
        say(f"  -  {name:<{width}}  {'; '.join(f'{one.code}: {one.text}' for one in found)}")
    if not route.ordered:
        refusal = route.refusal()
        say(f"refused with {refusal.status} {refusal.code}: {refusal.message}")
        if refusal.offer is not None:
            say(f"offered in x-tiergate-fallback: {refusal.offer}")
