"""A group of labs, its key server and its hub on sockets of this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette

from tiergate.clock import FixedClock
from tiergate.gateway.serving.listening import listen
from tiergate.gateway.serving.starlette import server
from tiergate.parties.tokens import new_token
from tiergate.sharing.tokens import peer
from tiergate.sharing.tokens.group import KIND, Group, Member
from tiergate.sharing.tokens.hub import Hub, hub_app
from tiergate.sharing.tokens.key_server import KeyServer, key_server_app
from tiergate.sharing.tokens.lab import Lab

GIVE_UP_S = 30
NOW = 1_790_000_000_000_000
TOKENS = [new_token(KIND) for _ in range(5)]


def group(*, threshold: int = 3, quota: int = 1000) -> Group:
    names = [hashlib.sha256(token.encode()).hexdigest() for token in TOKENS]
    return Group([Member(f"lab-{n}", n, name, quota) for n, name in enumerate(names, 1)], threshold)


class Served:
    """Key servers and a hub that run, and labs that talk to them."""

    def __init__(self, folder: Path, of: Group, key_servers: int = 1) -> None:
        self.group, self.clock, self._stack = of, FixedClock(NOW), ExitStack()
        self._running: list[uvicorn.Server] = []
        self.key_servers = [KeyServer(folder / f"keys-{n}", of, self.clock) for n in range(key_servers)]
        self.hub = Hub(folder / "hub", of, self.clock)
        for one in (*self.key_servers, self.hub):
            self._stack.callback(one.close)
        self.key_urls = [self._serve(key_server_app(one, of)) for one in self.key_servers]
        self.hub_url = self._serve(hub_app(self.hub, of))

    def lab(self, number: int) -> Lab:
        token = TOKENS[number - 1]
        keys = [self._stack.enter_context(peer.KeyServer(url, token)) for url in self.key_urls]
        return Lab(number, self.group.threshold, keys, self._stack.enter_context(peer.Hub(self.hub_url, token)))

    def _serve(self, app: Starlette) -> str:
        listener = self._stack.enter_context(listen("127.0.0.1", 0))
        running = server(app)
        thread = threading.Thread(target=running.run, args=([listener],))
        thread.start()

        def end() -> None:
            thread.join(GIVE_UP_S)
            assert not thread.is_alive()

        self._running.append(running)
        self._stack.callback(end)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    def close(self) -> None:
        for one in self._running:
            one.should_exit = True
        self._stack.close()


Serving = Callable[..., Served]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    with ExitStack() as stack:

        def start(of: Group | None = None, key_servers: int = 1) -> Served:
            served = Served(tmp_path, of or group(), key_servers)
            stack.callback(served.close)
            return served

        yield start
