"""The demonstration's console: people who can sign in, the case as the watch opens it, a programme, and an address."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tiergate.api.operators import Operators, Role
from tiergate.api.passwords import Passwords
from tiergate.cli.demo.children import server
from tiergate.cli.demo.programme import found_programme
from tiergate.cli.deployment import Deployment
from tiergate.clock import SystemClock

if TYPE_CHECKING:
    from tiergate.detection.run import Parameters

PEOPLE: Final = {
    "ana": (Role.ANALYST, Role.ENGINEER, Role.ADMINISTRATOR, Role.AUDITOR, Role.REVIEWER),
    "ben": (Role.ANALYST, Role.APPROVER, Role.ADMINISTRATOR, Role.REVIEWER),
    "eve": (Role.EXECUTIVE,),
}
"""Two who act, since some steps need a second person, and one who sees sums."""


def show_console(
    servers: ExitStack, deployment: Deployment, out: Path, port: int, metrics: str, parameters: Parameters
) -> str:
    """Open the case that the log holds, found the programme, start the console beside; returns what to tell of it."""
    _look(deployment, out / "data", parameters)
    found_programme(deployment, out / "data", SystemClock().now_us())
    passwords = _people(deployment)
    settings = {"TIERGATE_CONTROL_METRICS_URL": metrics}
    arguments = ["-m", "tiergate", "control", "--data", str(out / "data"), "--port", str(port)]
    log = out / "logs" / "console.log"
    servers.enter_context(server("console", arguments, port=port, log=log, settings=settings))
    told = [f"Console: http://localhost:{port}"]
    for name, password in passwords.items():
        told.append(f"  sign in as {name} with {password} ({', '.join(PEOPLE[name])})")
    return "\n".join(told)


def metrics_url(port: int) -> str:
    """Where the gateway is asked for its counters."""
    return f"http://127.0.0.1:{port}"


def _people(deployment: Deployment) -> dict[str, str]:
    now_us, pepper = SystemClock().now_us(), deployment.registry.pepper
    operators, passwords = Operators(deployment.engine, pepper), Passwords(deployment.engine, pepper)
    made: dict[str, str] = {}
    for name, roles in PEOPLE.items():
        operator = operators.add(name, list(roles), None, now_us)
        made[name] = secrets.token_urlsafe(12)
        passwords.set(operator.operator_id, made[name], now_us)
    return made


def _look(deployment: Deployment, data: Path, parameters: Parameters) -> None:
    """What `tiergate watch --once` does."""
    from tiergate.response.ladder import FILE, load_policy
    from tiergate.response.watch import Watch

    watching = Watch(data, deployment.engine, deployment.registry, load_policy(data / FILE), SystemClock())
    with watching.held():
        watching.look(parameters, lambda _words, _share: None)
