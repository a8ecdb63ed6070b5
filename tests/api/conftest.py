"""A real control API on loopback, and operators of every role."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tiergate.api.app import control_app
from tiergate.api.operators import Role
from tiergate.api.services import Services, open_services
from tiergate.api.settings import ControlSettings
from tiergate.clock import FixedClock
from tiergate.gateway.serving.starlette import server

NOW = 1_780_000_000_000_000
ORGANISATION = "org-one"


@contextmanager
def listening(app: Any, listener: socket.socket, ending: Callable[[], None] | None = None) -> Iterator[None]:
    """An ASGI application served in a thread until the block ends."""
    made = server(app, ending=ending)
    made.config.log_level = "critical"
    thread = threading.Thread(target=lambda: asyncio.run(made.serve([listener])))
    thread.start()
    try:
        yield
    finally:
        made.should_exit = True
        thread.join()


def loopback() -> tuple[socket.socket, str]:
    # asyncio turns Nagle's algorithm off only for what says that it is TCP; with it each answer may wait 40 ms.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener, f"http://localhost:{listener.getsockname()[1]}"


@dataclass
class Control:
    """A running control API. ``client(role)`` calls it as a new operator of that role."""

    address: str
    services: Services
    clock: FixedClock
    stack: ExitStack
    count: int = 0

    def operator(self, *roles: Role, organisation: str | None = None, name: str | None = None) -> tuple[str, str]:
        """Id and token of a new operator."""
        self.count += 1
        if organisation is None and {Role.APPLICANT, Role.PROVISIONER} & set(roles):
            organisation = ORGANISATION
        name = name or f"{roles[0]}-{self.count}@example.com"
        operator = self.services.operators.add(name, list(roles), organisation, self.clock.now_us())
        return operator.operator_id, self.services.operators.issue_token(operator.operator_id, self.clock.now_us())[1]

    def client(self, *roles: Role, **more: Any) -> httpx2.Client:
        return self.with_token(self.operator(*roles, **more)[1])

    def with_token(self, token: str | None) -> httpx2.Client:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return self.stack.enter_context(
            httpx2.Client(base_url=self.address, headers=headers, trust_env=False, timeout=60)
        )


@contextmanager
def running(data: Path, **settings: Any) -> Iterator[Control]:
    listener, address = loopback()
    clock = FixedClock(NOW)
    options = ControlSettings(data=data, **settings)
    with (
        ExitStack() as stack,
        open_services(options, clock, address) as services,
        listening(control_app(services), listener, services.streams.end),
    ):
        yield Control(address, services, clock, stack)


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with running(tmp_path / "data") as one:
        yield one
