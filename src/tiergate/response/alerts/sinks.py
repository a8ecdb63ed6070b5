"""Where alerts go: `alerts.toml` in the data folder, read strictly.

No secret is in the file: it names environment variables, or files, which are read anew for every alert, so that a
secret can be replaced while the watch runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from tiergate.errors import InputError
from tiergate.gateway.routing.urls import host_fault, url_fault
from tiergate.response.alerts.events import TYPES, Alert

FILE: Final = "alerts.toml"
MOST_SINKS: Final = 20
MOST_SECRET_BYTES: Final = 4096
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_MAILBOX: Final = re.compile(r"[^@\s<>,;]{1,64}@[^@\s<>,;]{1,253}")


class Secret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a secret is: an environment variable, or a file beside `alerts.toml` or anywhere."""

    env: str | None = None
    file: str | None = None


class _Sink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """``types``: alerts it gets, `case.*` for all of cases, none for all; ``private``: it is in a network of ours;
    ``ca_file``: certificates that its own must descend from, the system's if not given; ``account_ids``: whether it
    is told which accounts a case's step reaches."""

    name: str
    types: tuple[str, ...] = ()
    private: bool = False
    ca_file: str | None = None
    account_ids: bool = False

    def wants(self, alert: Alert) -> bool:
        """Whether an alert is for this sink."""
        group = f"{alert.type.partition('.')[0]}.*"
        return alert.type == "test" or not self.types or alert.type in self.types or group in self.types


class Webhook(_Sink, frozen=True, kw_only=True, tag="webhook"):
    """``secret``: one `whsec_...` a line; each signs, so that one can be replaced."""

    url: str
    secret: Secret


class Slack(_Sink, frozen=True, kw_only=True, tag="slack"):
    """``url``: the address is the secret."""

    url: Secret


class Email(_Sink, frozen=True, kw_only=True, tag="email", rename={"sender": "from"}):
    """``tls``: `starttls`, `tls` from the first byte, or `none`, which needs ``private``."""

    host: str
    sender: str
    to: tuple[str, ...]
    port: int = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: Secret | None = None


class Ocsf(_Sink, frozen=True, kw_only=True, tag="ocsf"):
    """A ``file`` that lines are appended to, or a ``url``; ``authorization``: the whole header of that name."""

    file: str | None = None
    url: str | None = None
    authorization: Secret | None = None

    def wants(self, alert: Alert) -> bool:
        """Cases are findings; appeals and a failing watch are none."""
        return alert.type in ("test", *(one for one in TYPES if one.startswith("case."))) and super().wants(alert)


Sink = Webhook | Slack | Email | Ocsf


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    sinks: tuple[Sink, ...]


def load_sinks(path: Path) -> list[Sink]:
    """The sinks of a deployment, none where there is no file. Raises `InputError` for one that is wrong."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
    try:
        sinks = list(msgspec.toml.decode(text, type=_File).sinks)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"`{path}` is no list of sinks: {error}") from error
    names = [sink.name for sink in sinks]
    if len(sinks) > MOST_SINKS:
        raise InputError(f"`{path}`: {len(sinks)} sinks are too many: {MOST_SINKS} at most")
    for sink in sinks:
        fault = f"`{sink.name[:64]}` is there twice" if names.count(sink.name) > 1 else _fault(sink)
        if fault is not None:
            raise InputError(f"`{path}`: {fault}")
    return sinks


def read_secret(secret: Secret, environment: Mapping[str, str], folder: Path) -> str:
    """A secret's text; ``folder``: what the name of a file is relative to. Raises `InputError` when it is not there."""
    if secret.env is not None:
        if not environment.get(secret.env):
            raise InputError(f"the environment variable `{secret.env}` is not set")
        return environment[secret.env].strip()
    path = folder / (secret.file or "")
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_SECRET_BYTES).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the secret in `{path}`") from error
    if not text:
        raise InputError(f"`{path}` is empty: put the secret into it")
    return text


def address_fault(url: str, *, private: bool) -> str | None:
    """What is wrong with a sink's address; a query, which may hold a token, is allowed."""
    address, _, query = url.partition("?")
    if not (query.isascii() and query.isprintable()) or set(query) & set(' "<>\\`#'):
        return "its query must be plain ASCII, percent-encoded"
    if len(url) > 2048 or not urlsplit(address).scheme:
        return "give an http or https address such as https://hooks.example.com/tiergate"
    return _in_our_words(url_fault(address, private=private))


def _in_our_words(fault: str | None) -> str | None:
    return fault and fault.replace("private: true", "private = true").replace("an upstream", "a sink").replace(
        "the upstream", "it"
    )


def _fault(sink: Sink) -> str | None:
    where = f"sink `{sink.name[:64]}`"
    if _NAME.fullmatch(sink.name) is None:
        return f"{where}: a name has lower-case letters, digits, `-` and `_`, 32 at most"
    known = {*TYPES, *(f"{one.partition('.')[0]}.*" for one in TYPES if "." in one)}
    unknown = [one for one in sink.types if one not in known]
    if unknown:
        return f"{where}: there is no type `{unknown[0]}`: {', '.join(sorted(known))}"
    for secret in secrets_of(sink):
        if (secret.env is None) is (secret.file is None):
            return f'{where}: a secret is either `{{env = "NAME"}}` or `{{file = "PATH"}}`'
    match sink:
        case Webhook(url=url) | Ocsf(url=str(url)):
            fault = address_fault(url, private=sink.private)
        case Email():
            fault = _email_fault(sink)
        case _:
            fault = None
    if isinstance(sink, Ocsf) and (sink.file is None) is (sink.url is None):
        fault = "give either `file` or `url`"
    return fault and f"{where}: {fault}"


def secrets_of(sink: Sink) -> list[Secret]:
    """The secrets that a sink names."""
    match sink:
        case Webhook(secret=secret) | Slack(url=secret):
            return [secret]
        case Email(password=secret) | Ocsf(authorization=secret):
            return [] if secret is None else [secret]


def _email_fault(sink: Email) -> str | None:
    if not sink.to or not all(map(_MAILBOX.fullmatch, (sink.sender, *sink.to))) or len(sink.to) > 50:
        return "`from` and `to`, a list of up to 50, are addresses such as trust@example.com"
    if not 1 <= sink.port <= 65535:
        return "`port` goes from 1 to 65535"
    if sink.tls == "none" and not sink.private:
        return 'alerts would travel in the clear: `tls = "starttls"`, or `private = true` for a server of yours'
    if sink.tls == "none" and sink.password is not None:
        return 'a password never travels in the clear: `tls = "starttls"` or `"tls"`'
    if (sink.user is None) is not (sink.password is None):
        return "give both `user` and `password`, or neither"
    return _in_our_words(host_fault(sink.host, private=sink.private))
