"""The key server and the hub as a lab reaches them: HTTPS, with its token, no redirects, answers within limits."""

from __future__ import annotations

import http.client
import socket
import ssl
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from tiergate.errors import InputError, ProofError, StateError, TiergateError
from tiergate.gateway.connecting import DeliveryError, ended
from tiergate.sharing.tokens.hub import KEYS_HEADER, Told

TIMEOUT_S: Final = 60.0
"""For a connection and any silence."""
MOST_S: Final = 600.0
"""For a whole answer, however slowly it drips."""
MOST_READ: Final = 64 << 20
_LOCAL: Final = ("127.0.0.1", "::1", "localhost")


class _Epoch(msgspec.Struct, frozen=True):
    epoch: int
    public_key: str


class _Epochs(msgspec.Struct, frozen=True):
    epochs: list[_Epoch]


class _Problem(msgspec.Struct, frozen=True):
    code: str
    detail: str


class Peer:
    """A party at an address such as `https://keys.example.com`, spoken to with a token.

    Every request has a connection of its own: between two of them a lab computes for longer than servers keep one. Not
    for several threads. Raises `InputError` for an address that the token must not go to.
    """

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if (
            parts.scheme not in ("https", "http")
            or not parts.hostname
            or parts.query
            or parts.fragment
            or parts.username
        ):
            raise InputError(f"`{url}` is no address: write it as https://hub.example.com")
        if parts.scheme == "http" and parts.hostname not in _LOCAL:
            raise InputError(f"`{url}`: the token would travel in the clear; write https://")
        self.url, self._token, self._path = url, token, parts.path.rstrip("/")
        if parts.scheme == "https":
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
        """The body of the answer. Raises `StateError` with the peer's code for what it refuses, `TiergateError` where
        it cannot be reached or answers at too great length."""
        sent = {"authorization": f"Bearer {self._token}"} | {name.replace("_", "-"): v for name, v in headers.items()}
        held: socket.socket | None = None
        try:
            with ended(lambda: held or self._connection.sock, MOST_S):
                self._connection.connect()
                # It lets go of its socket before the answer is read.
                held = self._connection.sock
                self._connection.request(method, self._path + path, body, sent)
                answer = self._connection.getresponse()
                read = answer.read(MOST_READ + 1)
        except DeliveryError as error:
            raise TiergateError(f"cannot reach `{self.url}`: {error}") from error
        finally:
            self._connection.close()
        if len(read) > MOST_READ:
            raise TiergateError(f"`{self.url}` answered with more than {MOST_READ} bytes")
        if answer.status not in (200, 204):
            try:
                told = msgspec.json.decode(read, type=_Problem)
            except msgspec.DecodeError:
                raise TiergateError(f"`{self.url}` answered {answer.status}") from None
            raise StateError(f"`{self.url}`: {told.detail[:500]}", code=told.code[:64])
        return read


class KeyServer(Peer):
    """A key server."""

    def epochs(self) -> dict[int, bytes]:
        """Public keys by epoch. Raises as `ask`, `TiergateError` for an answer that is none, and `ProofError` where two
        epochs have one key: rows of both could then be put together."""
        try:
            told = msgspec.json.decode(self.ask("GET", "/v1/epochs"), type=_Epochs)
            keys = {one.epoch: bytes.fromhex(one.public_key) for one in told.epochs}
        except (msgspec.DecodeError, ValueError) as error:
            raise TiergateError(f"`{self.url}` is no key server: {error}") from error
        if len(set(keys.values())) < len(keys):
            raise ProofError(f"`{self.url}` has one key for two epochs: do not use it")
        return keys

    def evaluate(self, epoch: int, elements: bytes) -> bytes:
        """Elements evaluated, with their proof."""
        return self.ask("POST", f"/v1/epochs/{epoch}/evaluate", elements, content_type="application/octet-stream")


class Hub(Peer):
    """The hub."""

    def hand_in(self, epoch: int, keys: str, rows: bytes) -> None:
        """Hand rows in, made under public keys with this SHA-256."""
        headers = {KEYS_HEADER: keys, "content_type": "application/octet-stream"}
        self.ask("POST", f"/v1/epochs/{epoch}/rows", rows, **headers)

    def opened(self, epoch: int) -> Told:
        """What it tells us of an epoch. Raises as `ask`, and `TiergateError` for an answer that is none."""
        try:
            return msgspec.json.decode(self.ask("GET", f"/v1/epochs/{epoch}/opened"), type=Told)
        except msgspec.DecodeError as error:
            raise TiergateError(f"`{self.url}` is no hub: {error}") from error
