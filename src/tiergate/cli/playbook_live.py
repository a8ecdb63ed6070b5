"""Probes of a playbook's controls: requests through a gateway in a sandbox, which has to refuse them.

The sandbox is a copy of the deployment's accounts, models, routes and limits in a folder of its own. Every upstream is
a stand-in on loopback, so that nothing is asked of a model, nothing costs anything, and the deployment itself is not
touched. Beside the copy there are models that no policy of the playbook may let through, and limits of one.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tiergate.cli.demo.children import free_port, server
from tiergate.cli.deployment import Deployment, open_deployment
from tiergate.cli.options import now
from tiergate.errors import TiergateError

if TYPE_CHECKING:
    from tiergate.advice.playbooks.adoption import Adoption
    from tiergate.advice.playbooks.configuration import Configuration
    from tiergate.advice.playbooks.findings import Finding
    from tiergate.gateway.metering.limits import Limit

ELSEWHERE: Final = "playbook-probe-elsewhere"
"""A model in a region that is none."""
KEEPER: Final = "playbook-probe-keeper"
"""A model whose provider keeps a request for a hundred years."""
ONCE: Final = 1
"""Of what a limit counts in the sandbox: a micro-dollar, a request or a token."""
GIVE_UP_S: Final = 30.0
REFUSES: Final = ("request_too_large", "budget_exhausted", "budget_reserved", "requests_limited", "tokens_limited")


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What a request showed of a control."""

    control: str
    passed: bool
    said: str


class _Answer(NamedTuple):
    status: int
    code: str
    body: str


class _Limited(NamedTuple):
    """A limit in the sandbox, and how a request meets it: a key, and headers or fields beside."""

    control: str
    limit: Limit
    key: str
    headers: dict[str, str]
    end_user: str | None


def probe(
    data: Path, routes: Path | None, packs: Path | None, adoption: Adoption, findings: Sequence[Finding],
    here: Configuration,
) -> list[Probe]:  # fmt: skip
    """Probe the controls that are in force. Raises `TiergateError` where the sandbox does not start."""
    asked = {one.control for one in findings if one.state == "in force"}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tiergate-playbook-")))
        sandbox, upstream, port = folder / "data", free_port(), free_port()
        _copy(data, routes, sandbox, upstream, here)
        opened = stack.enter_context(open_deployment(sandbox))
        keys = _Keys(opened, adoption.organisation)
        stranger = keys.new()
        limited = list(_limits(asked, adoption, here, opened, keys))
        mock = ["-m", "tiergate.simulation.mock_upstream", "--port", str(upstream)]
        stack.enter_context(server("stand-in for the models", mock, port=upstream, log=folder / "mock.log"))
        serve = ["-m", "tiergate", "serve", "--data", str(sandbox), "--port", str(port)]
        settings = {"TIERGATE_UPSTREAM_URL": f"http://127.0.0.1:{upstream}/v1"}
        settings |= {"TIERGATE_PACKS": str(packs)} if packs else {}
        settings |= {name: os.environ[name] for name in ("TIERGATE_RETENTION",) if name in os.environ}
        with server("sandbox's gateway", serve, port=port, log=folder / "gateway.log", settings=settings):
            caller = _Caller(port)
            caller.wait(folder / "gateway.log")
            probes = list(_ask(caller, asked, adoption, here, stranger, opened, limited))
        return [*probes, *_log(asked, sandbox)]


def _ask(
    caller: _Caller, asked: set[str], adoption: Adoption, here: Configuration, stranger: str, opened: Deployment,
    limited: Sequence[_Limited],
) -> Iterator[Probe]:  # fmt: skip
    from tiergate.gateway.metering.limits import LimitStore

    if "tiers" in asked:
        answer = caller.ask(stranger, "playbook-probe-not-listed")
        said = f"a name that is not listed: {_shown(answer)}"
        yield Probe(control="tiers", passed=answer.code == "model_not_listed", said=said)
        for model in adoption.models:
            answer = caller.ask(stranger, model)
            closed = _tier_of(model, here) == "classified"
            passed = answer.status in (403, 503) if closed else answer.status == 200
            who = "a key that nobody is known to hold" if closed else "any key of the organisation"
            yield Probe(control="tiers", passed=passed, said=f"`{model}` by {who}: {_shown(answer)}")
    for control, model, code in (
        ("regions", ELSEWHERE, "region_not_allowed"), ("retention_days", KEEPER, "retention_too_long"),
    ):  # fmt: skip
        if control in asked:
            answer = caller.ask(stranger, model)
            what = "in another region" if control == "regions" else "whose provider keeps requests for ever"
            yield Probe(control=control, passed=code in answer.body, said=f"a model {what}: {_shown(answer)}")
    # Those of the organisation last: nothing of it passes any more.
    for one in sorted(limited, key=lambda one: one.limit.scope == "organisation"):
        if one.limit.scope == "organisation":
            LimitStore(opened.engine).put(one.limit, author="tiergate playbook", now_us=now())
        answer = _met(caller, one, adoption.models[0])
        said = f"{one.limit.measure} of one {one.limit.scope}, used up: {_shown(answer)}"
        yield Probe(control=one.control, passed=answer.code in REFUSES, said=said)
        if one.limit.scope == "organisation":
            LimitStore(opened.engine).remove(one.limit, author="tiergate playbook", now_us=now())


def _met(caller: _Caller, one: _Limited, model: str) -> _Answer:
    """Ask until the limit is met: a gateway obeys a new one within some seconds."""
    give_up = time.monotonic() + GIVE_UP_S
    while True:
        answer = caller.ask(one.key, model, one.headers, one.end_user)
        if answer.status == 429 or time.monotonic() > give_up:
            return answer
        time.sleep(0.2)


def _log(asked: set[str], sandbox: Path) -> Iterator[Probe]:
    from tiergate.cli.playbook_reading import kept_of

    if "log" in asked:
        kept = kept_of(sandbox / "log")
        said = f"{kept.with_text} of the sandbox's {kept.exchanges} exchanges are kept with text"
        yield Probe(control="log", passed=bool(kept.exchanges) and not kept.with_text, said=said)


def _copy(data: Path, routes: Path | None, sandbox: Path, upstream: int, here: Configuration) -> None:
    from tiergate.admission.models import FILE as MODELS
    from tiergate.gateway.routing.reload import FILE as ROUTES
    from tiergate.parties.on_file import DATABASE

    sandbox.mkdir(mode=0o700)
    for name in ("control.sqlite", DATABASE):
        if (data / name).is_file():
            with closing(sqlite3.connect(data / name)) as there, closing(sqlite3.connect(sandbox / name)) as copy:
                there.backup(copy)
    shutil.copy(data / "pepper", sandbox / "pepper")
    if (data / MODELS).is_file():
        rows = "".join(f'\n[models."{name}"]\ntier = "commodity"\n' for name in (ELSEWHERE, KEEPER))
        priced = any(one.input_price is not None for one in here.models.by_name.values())
        rows = rows.replace('"commodity"\n', '"commodity"\ninput_price = 1\noutput_price = 1\n') if priced else rows
        (sandbox / MODELS).write_text((data / MODELS).read_text(encoding="utf-8") + rows, encoding="utf-8")
    if here.routes is not None:
        document = _with_stand_ins((routes or data / ROUTES).read_bytes(), f"http://127.0.0.1:{upstream}")
        # JSON is YAML, and says nothing twice.
        (sandbox / ROUTES).write_text(json.dumps(document), encoding="utf-8")


def _with_stand_ins(content: bytes, address: str) -> dict[str, Any]:
    """The routes with every upstream on loopback and without its key, and with models that must not be reached."""
    from tiergate.records.strict_yaml import plain, read_tree

    document: dict[str, Any] = plain(read_tree(content))
    for row in document["upstreams"].values():
        row.pop("key_env", None)
        row |= {"url": f"{address}/v1", "private": True}
    first = next(iter(document["upstreams"]))
    can = ["tools", "vision", "structured_output", "streaming"]
    base = {"upstream": first, "free": True, "context_tokens": 1_000_000, "capabilities": can}
    document["models"][ELSEWHERE] = base | {"region": "zz", "retention_days": 0}
    document["models"][KEEPER] = base | {"region": "zz", "retention_days": 36_500}
    return document


def _limits(
    asked: set[str], adoption: Adoption, here: Configuration, opened: Deployment, keys: _Keys
) -> Iterator[_Limited]:
    """A limit of one for each kind that the use case meets, each on a subject of its own but for the organisation."""
    from tiergate.advice.playbooks.gateway_checks import ANYBODY
    from tiergate.gateway.metering.limits import Limit, Limits, LimitStore, Payer, owned

    names = [name for name in adoption.models if _tier_of(name, here) != "classified"]
    payer = Payer(ANYBODY, ANYBODY, adoption.organisation or None, adoption.project or ANYBODY, ANYBODY)
    for held in Limits(here.limits).of(payer) if names else ():
        control = "budgets" if held.measure.startswith("usd/") else "rates"
        if control not in asked or (control == "budgets" and not _costs(names[0], here)):
            continue
        key, name = keys.new(), f"playbook-probe-{len(keys.accounts)}"
        account, credential = keys.accounts[-1], keys.credential(key)
        subjects = {
            "organisation": adoption.organisation, "account": account, "key": credential,
            "project": owned(adoption.organisation, name), "end_user": owned(adoption.organisation, name),
        }  # fmt: skip
        limit = Limit(scope=held.scope, subject=subjects[held.scope], measure=held.measure, amount=ONCE)
        if held.scope != "organisation":
            LimitStore(opened.engine).put(limit, author="tiergate playbook", now_us=now())
        headers = {"x-tiergate-project": name} if held.scope == "project" else {}
        yield _Limited(control, limit, key, headers, name if held.scope == "end_user" else None)


def _tier_of(name: str, here: Configuration) -> str | None:
    group = None if here.routes is None else here.routes.group(name)
    listed = here.models.by_name.get(name if group is None else group.candidates[0].name)
    return None if listed is None else listed.tier


def _costs(name: str, here: Configuration) -> bool:
    """Whether a request can cost anything: a budget refuses none that is free."""
    group = None if here.routes is None else here.routes.group(name)
    if group is None:
        listed = here.models.by_name.get(name)
        return listed is not None and bool(listed.input_price)
    return any(price.input or price.output for one in group.candidates for price in one.prices)


class _Keys:
    """Accounts of the organisation in the sandbox, each with a key that nobody is known to hold."""

    def __init__(self, opened: Deployment, organisation: str) -> None:
        self._opened, self._organisation = opened, organisation
        self.accounts: list[str] = []

    def new(self) -> str:
        account = f"playbook-probe-{len(self.accounts)}"
        registry, now_us = self._opened.registry, now()
        registry.add_account({"account_id": account, "created_at": now_us})
        if self._organisation:
            registry.join(account, self._organisation)
        self.accounts.append(account)
        return registry.issue_key(account, "probe", now_us)

    def credential(self, _key: str) -> str:
        """The id of the newest key."""
        account = self.accounts[-1]
        return next(
            one.credential_id for one in self._opened.registry.credentials().values() if one.account_id == account
        )


class _Caller:
    def __init__(self, port: int) -> None:
        self._port = port

    def wait(self, log: Path) -> None:
        """Wait until the gateway answers: its port is open before. Raises `TiergateError` where it ended instead."""
        give_up = time.monotonic() + GIVE_UP_S
        while True:
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=GIVE_UP_S)) as connection:
                    connection.request("GET", "/healthz")
                    connection.getresponse().read()
                    return
            except (OSError, http.client.HTTPException):
                said = log.read_text(errors="replace").splitlines()
                # What it says of itself before it ends; a port is reset before it is closed.
                if time.monotonic() > give_up or any("cannot be used" in line for line in said):
                    raise TiergateError(f"the sandbox's gateway does not answer: {' / '.join(said[-3:])}") from None
            time.sleep(0.1)

    def ask(self, key: str, model: str, headers: dict[str, str] | None = None, end_user: str | None = None) -> _Answer:
        """Ask once, and read the refusal's code."""
        body: dict[str, Any] = {
            "model": model,
            "max_tokens": 16,
            "messages": [{"role": "user", "content": "What is tin?"}],
        }
        body |= {"user": end_user} if end_user else {}
        sent = {"authorization": f"Bearer {key}", "content-type": "application/json"} | (headers or {})
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=GIVE_UP_S)) as connection:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), sent)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        try:
            code = str((json.loads(text).get("error") or {}).get("code") or "")
        except (ValueError, AttributeError):
            code = ""
        return _Answer(answer.status, code, text)


def _shown(answer: _Answer) -> str:
    return f"{answer.status} {answer.code}".strip()
