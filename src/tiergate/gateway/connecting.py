"""Connections to sinks of alerts and to peers: checked addresses, TLS, an end in time, and one request over them.

What is asked is what the operator wrote, so this is strict rather than clever: no proxy, no redirect, no cookie, and
no connection to an address that gives out a machine's own credentials, whatever a name resolves to (CWE-918).
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tiergate.errors import TiergateError
from tiergate.gateway.routing.urls import address_fault

TIMEOUT_S: Final = 10.0
"""For a connection, for TLS, and for any silence."""
MOST_S: Final = 20.0
"""For all that is said over one connection, however slowly it drips."""
SILENCE_S: Final = 20.0
"""For which what is followed may be silent."""
MOST_READ: Final = 1024
GONE: Final = 410


class DeliveryError(TiergateError):
    """It did not take what was sent, or did not answer. ``final``: it never will, so that asking again is no use."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


def connect(host: str, port: int, *, private: bool) -> socket.socket:
    """A connection to the first address of ``host`` that answers. Raises `DeliveryError`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DeliveryError(f"`{host}` has no address") from error
    addresses = list(dict.fromkeys(str(where[0]) for *_, where in found))
    if any(address_fault(one, private=private) for one in addresses):
        raise DeliveryError(
            f"`{host}` leads to an address that is not asked: `private = true`, or --private, if it is yours"
        )
    failure: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection((address, port), TIMEOUT_S)
        except OSError as error:
            failure = error
    raise DeliveryError(f"cannot reach `{host}` port {port}: {_why(failure)}") from failure


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Certificates are checked against the system's authorities, or those of ``ca_file``. Raises `DeliveryError`."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise DeliveryError(f"cannot use the certificates in `{ca_file}`") from error


@contextmanager
def ended(connection: Callable[[], socket.socket | None], most_s: float = MOST_S) -> Iterator[None]:
    """Cut ``connection()`` off after ``most_s``, and say faults of the network as `DeliveryError`."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        if (now := connection()) is not None:
            with suppress(OSError):
                socket.socket.shutdown(now, socket.SHUT_RDWR)

    timer = threading.Timer(most_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
        if late.is_set():
            raise DeliveryError(f"it did not answer within {most_s:.0f} s")
    except ssl.SSLError as error:
        raise DeliveryError(f"its certificate or TLS is not accepted: {error.reason or 'cut off'}") from error
    except (OSError, http.client.HTTPException) as error:
        raise DeliveryError(f"it did not answer as it should: {_why(error)}") from error
    finally:
        timer.cancel()
        timer.join()


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; names of ``headers`` in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def fault(self) -> DeliveryError:
        """That it was refused, with the words that came with it."""
        words = "".join(one for one in self.body[:MOST_READ].decode(errors="replace") if one.isprintable())[:200]
        said = f"it answered {self.status}{f': {words}' if words else ''}"
        return DeliveryError(said, final=self.status == GONE)


def ask(
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    *,
    private: bool,
    ca_file: str | None,
    most_read: int,
) -> Answer:
    """One request, and what is answered, whatever that is, up to ``most_read`` bytes. Raises `DeliveryError`."""
    with (
        closing(_Request(url, private=private)) as request,
        ended(lambda: request.socket),
        request.answered(method, body, headers, ca_file) as answer,
    ):
        return _read(answer, most_read)


class Followed:
    """An answer that goes on by itself."""

    def __init__(self, request: _Request, answer: http.client.HTTPResponse, most_line: int) -> None:
        self._request, self._answer, self._most_line = request, answer, most_line

    def line(self) -> bytes:
        """The next line with its end, empty after the last one. Raises `DeliveryError` where none comes, or one that is
        too long."""
        try:
            line = self._answer.readline(self._most_line + 1)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise DeliveryError(f"it does not go on: {_why(error)}") from error
        if len(line) > self._most_line:
            raise DeliveryError(f"a line of it has more than {self._most_line:,} bytes")
        return line

    def cut(self) -> None:
        """End it, from whatever thread: whoever waits for a line waits no longer."""
        with suppress(OSError):
            socket.socket.shutdown(self._request.socket, socket.SHUT_RDWR)


@contextmanager
def follow(
    url: str, headers: Mapping[str, str], *, private: bool, ca_file: str | None, most_line: int
) -> Iterator[Followed]:
    """What is answered to a GET, as it comes, for as long as it goes on. Raises `DeliveryError` for any but 200."""
    with closing(_Request(url, private=private)) as request:
        with ended(lambda: request.socket):
            answer = request.answered("GET", None, headers, ca_file)
            refused = None if answer.status == 200 else _read(answer, MOST_READ)
        with answer:
            if refused is not None:
                raise refused.fault()
            request.socket.settimeout(SILENCE_S)
            yield Followed(request, answer, most_line)


class _Request:
    """One request under way, to be closed."""

    def __init__(self, url: str, *, private: bool) -> None:
        self._parts = parts = urlsplit(url)
        self._tls, self._host = parts.scheme == "https", parts.hostname or ""
        self.socket = connect(self._host, parts.port or (443 if self._tls else 80), private=private)

    def answered(
        self, method: str, body: bytes | None, headers: Mapping[str, str], ca_file: str | None
    ) -> http.client.HTTPResponse:
        parts = self._parts
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        asked = http.client.HTTPConnection(parts.netloc)  # opens nothing by itself: it is given a connection
        if self._tls:
            self.socket = tls_context(ca_file).wrap_socket(self.socket, server_hostname=self._host)
        asked.sock = self.socket
        asked.request(method, path, body, {"User-Agent": "tiergate", "Connection": "close"} | dict(headers))
        return asked.getresponse()

    def close(self) -> None:
        self.socket.close()


def _read(answer: http.client.HTTPResponse, most: int) -> Answer:
    told = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, told, answer.read(most))


def post(url: str, body: bytes, headers: Mapping[str, str], *, private: bool, ca_file: str | None) -> None:
    """POST ``body`` as JSON, which any answer of 200 to 299 accepts. Raises `DeliveryError` for all else."""
    fixed = {"Content-Type": "application/json"}
    answer = ask("POST", url, body, fixed | dict(headers), private=private, ca_file=ca_file, most_read=MOST_READ)
    if not 200 <= answer.status < 300:
        raise answer.fault()


def _why(error: Exception | None) -> str:
    if isinstance(error, TimeoutError):
        return "it is silent"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
