"""The steps of the demonstration, in order, with what each must achieve."""

from __future__ import annotations

import hashlib
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tiergate.cli.case_table import print_cases
from tiergate.cli.cases import CasesFolder, read_cases
from tiergate.cli.demo.acting import act
from tiergate.cli.demo.children import free_port, server
from tiergate.cli.demo.console import metrics_url, show_console
from tiergate.cli.demo.traffic import Sent, send_all
from tiergate.cli.demo.truth import compare, say_truth
from tiergate.cli.demo.worlds import DemoWorld, make_world
from tiergate.cli.deployment import Deployment, open_deployment
from tiergate.cli.outputs import writable_folder
from tiergate.cli.report import Outcome, Truth, write_report
from tiergate.cli.terminal import counted, note, progress, say
from tiergate.clock import SystemClock
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.detection.run import Parameters

MARK = ".tiergate-demo"
MADE = ("world", "data", "cases", "logs")
STEPS = 7
DECOYS = 24
LABEL = "demo"


def prepare_folder(out: Path) -> None:
    """Make ``out`` ready, clearing only what an earlier demonstration left there.

    Raises `InputError` for a folder that holds something else.
    """
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise InputError(f"`{out}` holds files that no demonstration made: give `--out` an empty or new folder")
    writable_folder(out)
    for name in MADE:
        shutil.rmtree(out / name, ignore_errors=True)
    (out / MARK).touch()
    (out / "logs").mkdir()


def run_demo(out: Path, *, seed: int, port: int | None, keep_serving: bool, console_port: int | None = None) -> bool:
    """Run all steps; true when each did what it should. Servers are ended on every way out."""
    started = time.monotonic()
    prepare_folder(out)
    with ExitStack() as servers:
        _step(1, "Simulate a small world of customers")
        world = make_world(out / "world", seed)
        say(f"   {counted(len(world.exchanges), 'exchange')} of {counted(len(world.accounts), 'account')}, seed {seed}")

        _step(2, "Start a mock model and the gateway in front of it")
        deployment = servers.enter_context(open_deployment(out / "data", create=True))
        _known_key(out / "data", seed)
        keys = _admit(deployment, world)
        metrics = free_port()
        base_url = _start(servers, out, port or free_port(), metrics)
        say(f"   the gateway listens on {base_url}; {counted(len(keys), 'account')} hold a key each")

        _step(3, "Send the world's traffic through the gateway")
        with progress("sending") as advance:
            sent = send_all(f"{base_url}/chat/completions", world.exchanges, keys, advance)
        well = _say_sent(sent)

        _step(4, "Detect from the gateway's log, which keeps sketches and no text")
        found = _detect(out, seed)
        print_cases(found, most=3)

        _step(5, "Compare with the truth, which detection did not see")
        truth = compare(found, world.population_of, world.campaigns, f"preset demo, seed {seed}")
        well &= say_truth(truth)

        outcome = None
        if found.cases:
            _step(6, "Act on the first case")
            outcome, obeyed = act(found, deployment.verdicts, world, keys, f"{base_url}/chat/completions")
            well &= obeyed

        _step(7, "Write the report")
        report = _report(out, found, truth, [outcome] if outcome else [])
        say(f"   {report}")
        took = time.monotonic() - started
        say(f"\n{'Every step did what it should' if well else 'NOT every step did what it should'}; {took:.0f} s.")
        if keep_serving:
            bystander = next(name for name in keys if not any(name in case.account_ids for case in found.cases))
            shown = show_console(
                servers, deployment, out, console_port or free_port(), metrics_url(metrics), _parameters(seed)
            )
            _serve_until_interrupted(base_url, keys[bystander], report, shown)
    return well


def _step(number: int, title: str) -> None:
    say(f"\n[{number}/{STEPS}] {title}")


def _known_key(data: Path, seed: int) -> None:
    """A sketch key that the seed gives, for traffic that is nobody's: what is found is then the same on every run."""
    (data / "key").write_bytes(hashlib.blake2b(f"demo {seed}".encode(), digest_size=32).digest())
    (data / "key").chmod(0o600)


def _admit(deployment: Deployment, world: DemoWorld) -> dict[str, str]:
    """Register the world's accounts and give each a key."""
    now_us = SystemClock().now_us()
    deployment.registry.add_accounts(world.accounts)
    names = [str(account["account_id"]) for account in world.accounts]
    return deployment.registry.issue_keys(names, LABEL, now_us)


def _start(servers: ExitStack, out: Path, port: int, metrics: int) -> str:
    """Start the mock model and the gateway; returns the gateway's OpenAI base URL."""
    upstream = free_port()
    logs = out / "logs"
    servers.enter_context(
        server(
            "mock model",
            ["-m", "tiergate.simulation.mock_upstream", "--port", str(upstream)],
            port=upstream,
            log=logs / "mock_model.log",
        )
    )
    settings = {
        "TIERGATE_DATA": str(out / "data"),
        "TIERGATE_PORT": str(port),
        "TIERGATE_UPSTREAM_URL": f"http://127.0.0.1:{upstream}/v1",
        "TIERGATE_RETENTION": "sketches",
        "TIERGATE_TRUSTED_PROXIES": '["127.0.0.1"]',
        "TIERGATE_REPLAY_CLOCK": "true",
        "TIERGATE_METRICS_PORT": str(metrics),
        "TIERGATE_CONSOLE": "false",
    }
    servers.enter_context(
        server("gateway", ["-m", "tiergate", "serve"], port=port, log=logs / "gateway.log", settings=settings)
    )
    return f"http://127.0.0.1:{port}/v1"


def _say_sent(sent: Sent) -> bool:
    answers = ", ".join(f"{count:,} with HTTP {status}" for status, count in sorted(sent.statuses.items()))
    say(f"   {counted(sent.total, 'request')}: answered {answers or 'none'}; {sent.failures:,} without an answer")
    return sent.statuses[200] == sent.total


def _detect(out: Path, seed: int) -> CasesFolder:
    from tiergate.cli.detect import detect_into
    from tiergate.cli.inputs import find_inputs
    from tiergate.ledger.sketches import load_or_create_key
    from tiergate.records.refused import RefusedRows

    with RefusedRows(None) as refused:
        detect_into(
            out / "cases",
            find_inputs([out / "data"]),
            refused,
            sketch_key=load_or_create_key(out / "data" / "key"),
            parameters=_parameters(seed),
        )
    return read_cases(out / "cases")


def _parameters(seed: int) -> Parameters:
    from tiergate.detection.run import Parameters

    return Parameters(decoys=DECOYS, seed=seed)


def _report(out: Path, found: CasesFolder, truth: Truth, outcomes: list[Outcome]) -> Path:
    from tiergate.ledger.log import read_log

    sources = ["the gateway's log of a simulated world"]
    log = read_log(out / "data" / "log", columns=["account_id", "started_at"])
    return write_report(out, found.path, exchanges=log, sources=sources, outcomes=outcomes, truth=truth)


def _serve_until_interrupted(base_url: str, key: str, report: Path, console: str) -> None:
    """Tell the addresses and wait for Ctrl-C, which is how this is meant to end."""
    say(f"""
The gateway keeps running. Try it:
  curl {base_url}/chat/completions -H 'Authorization: Bearer {key}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"model": "mock", "messages": [{{"role": "user", "content": "hello"}}]}}'
Report: {report.resolve().as_uri()}
{console}
Ctrl-C ends everything.""")
    try:
        while True:
            time.sleep(3_600)
    except KeyboardInterrupt:
        note("ending the console, the gateway and the mock model")
