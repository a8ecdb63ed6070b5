"""Sinks of every kind, over sockets: what is taken, what is not, and what is never asked."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sqlalchemy as sa
import standardwebhooks
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.response.alerts.conftest import AN_ALERT, SECRET, Certificates, Receiver, a_case
from tests.response.conftest import NOW
from tiergate.cli.demo.children import free_port
from tiergate.clock import SystemClock
from tiergate.errors import InputError
from tiergate.gateway import connecting
from tiergate.gateway.connecting import DeliveryError
from tiergate.response.alerts import events, ocsf, slack
from tiergate.response.alerts.sending import Alerting
from tiergate.response.alerts.sinks import Email, Ocsf, Secret, Sink, Slack, Webhook

HERE = {"private": True}
ENVIRONMENT = {"SECRET": SECRET, "PASSWORD": "open sesame", "TOKEN": "Bearer t"}


def deliver(sink: Sink, tmp_path: Path, engine: sa.Engine, more: Mapping[str, str] | None = None) -> None:
    Alerting(tmp_path, engine, SystemClock(), ENVIRONMENT | dict(more or {})).deliver(AN_ALERT, sink)


def a_webhook(url: str, **more: Any) -> Webhook:
    return Webhook(name="hook", url=url, secret=Secret(env="SECRET"), **HERE | more)


def test_a_webhook_is_taken_and_verifies(receiver: Receiver, tmp_path: Path, engine: sa.Engine) -> None:
    deliver(a_webhook(receiver.url + "?token=x"), tmp_path, engine)
    ((headers, body),) = receiver.came
    assert standardwebhooks.Webhook(SECRET).verify(body, headers)["type"] == "case.step"
    assert (headers["webhook-id"], headers["content-type"]) == ("alert_1", "application/json")


@pytest.mark.parametrize("status", [301, 302, 307, 400, 429, 500])
def test_what_is_not_taken_is_said_and_no_redirect_followed(
    receiver: Receiver, tmp_path: Path, engine: sa.Engine, status: int
) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("location", receiver.url)
        handler.end_headers()
        handler.wfile.write(b"no\x1b[2J thanks" * 1000)

    receiver.answer = answer
    with pytest.raises(DeliveryError, match=f"it answered {status}: no\\[2J thanks") as raised:
        deliver(a_webhook(receiver.url), tmp_path, engine)
    assert len(receiver.came) == 1
    assert (raised.value.final, len(str(raised.value)) < 300) == (False, True)


def test_a_receiver_that_is_gone_is_not_asked_again(receiver: Receiver, tmp_path: Path, engine: sa.Engine) -> None:
    receiver.answer = 410
    with pytest.raises(DeliveryError) as raised:
        deliver(a_webhook(receiver.url), tmp_path, engine)
    assert raised.value.final


def test_an_answer_that_drips_is_cut_off(
    receiver: Receiver, tmp_path: Path, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "MOST_S", 0.3)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 204 No Content\r\n")
        for _ in range(600):
            handler.wfile.write(b"X: y\r\n")
            time.sleep(0.05)

    receiver.answer = drip
    with pytest.raises(DeliveryError, match="did not answer"):
        deliver(a_webhook(receiver.url), tmp_path, engine)


def test_certificates_are_checked(
    tls_receiver: Receiver, certificates: Certificates, tmp_path: Path, engine: sa.Engine
) -> None:
    deliver(a_webhook(tls_receiver.url, ca_file=str(certificates.authority)), tmp_path, engine)
    assert len(tls_receiver.came) == 1
    with pytest.raises(DeliveryError, match="certificate"):
        deliver(a_webhook(tls_receiver.url), tmp_path, engine)
    with pytest.raises(DeliveryError, match="certificates in"):
        deliver(a_webhook(tls_receiver.url, ca_file="nowhere.pem"), tmp_path, engine)
    assert len(tls_receiver.came) == 1


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "100.100.100.200"])
def test_a_name_that_leads_to_a_machine_s_metadata_is_not_asked(
    host: str, tmp_path: Path, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the file says was right when it was read; what a name resolves to is known only now.
    real = connecting.socket.getaddrinfo
    monkeypatch.setattr(connecting.socket, "getaddrinfo", lambda _, port, **more: real(host.strip("[]"), port, **more))
    for sink in (
        a_webhook("https://hooks.example.com/x"),
        Email(name="post", host="smtp.example.com", sender="a@b.c", to=("d@e.f",), **HERE),
    ):
        with pytest.raises(DeliveryError, match="leads to an address that is not asked"):
            deliver(sink, tmp_path, engine)


def test_a_private_address_needs_to_be_said_so(receiver: Receiver, tmp_path: Path, engine: sa.Engine) -> None:
    with pytest.raises(DeliveryError, match="private = true"):
        deliver(a_webhook(receiver.url, private=False), tmp_path, engine)
    assert receiver.came == []


def test_nobody_there_and_no_such_name(tmp_path: Path, engine: sa.Engine) -> None:
    with pytest.raises(DeliveryError, match="cannot reach"):
        deliver(a_webhook("http://127.0.0.1:1/x"), tmp_path, engine)


def test_slack_gets_text_and_blocks_in_which_nothing_is_markup(
    receiver: Receiver, tmp_path: Path, engine: sa.Engine
) -> None:
    deliver(Slack(name="chat", url=Secret(env="URL"), **HERE), tmp_path, engine, {"URL": receiver.url})
    body = json.loads(receiver.came[0][1])
    assert body["text"] == "case_1: limit &lt;!here&gt; &amp; *\u200bmore*\u200b"
    assert [block["type"] for block in body["blocks"]] == ["section", "section", "context"]
    assert slack.escaped("<@U1>") == "&lt;@U1&gt;"
    with pytest.raises(InputError, match="never a sink"):
        deliver(
            Slack(name="chat", url=Secret(env="URL")), tmp_path, engine, {"URL": "https://169.254.169.254/services"}
        )


class Mailbox:
    """An SMTP server's mail."""

    def __init__(self) -> None:
        self.came: list[Envelope] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - theirs
        self.came.append(envelope)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - theirs
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _how: str, who: object) -> AuthResult:
    right = isinstance(who, LoginPassword) and (who.login, who.password) == (b"tiergate", b"open sesame")
    return AuthResult(success=right, handled=False)


@pytest.fixture
def mail_server(certificates: Certificates) -> Iterator[tuple[Mailbox, int]]:
    """A server that wants STARTTLS and a password."""
    mailbox = Mailbox()
    controller = Controller(
        mailbox, "127.0.0.1", free_port(), tls_context=certificates.context(), require_starttls=True,
        auth_required=True, authenticator=authenticate,
    )  # fmt: skip
    controller.start()
    yield mailbox, controller.port
    controller.stop()


def an_email(port: int, ca: Path, **more: Any) -> Email:
    given: dict[str, Any] = {
        "user": "tiergate", "password": Secret(env="PASSWORD"), "to": ("trust@example.com", "b@example.com"),
        "ca_file": str(ca),
    }  # fmt: skip
    return Email(name="post", host="127.0.0.1", port=port, sender="tiergate@example.com", **HERE | given | more)


def test_mail_arrives_over_checked_tls(
    mail_server: tuple[Mailbox, int], certificates: Certificates, tmp_path: Path, engine: sa.Engine
) -> None:
    mailbox, port = mail_server
    deliver(an_email(port, certificates.authority), tmp_path, engine)
    (envelope,) = mailbox.came
    assert envelope.rcpt_tos == ["trust@example.com", "b@example.com"]
    assert isinstance(envelope.content, bytes)
    mail = message_from_bytes(envelope.content, policy=default)
    assert mail["subject"] == "[tiergate] case_1: limit <!here> & *more*"
    assert mail["message-id"] == "<alert_1@example.com>"
    assert "accounts: 36" in mail.get_content()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ca_file": None}, "certificate"),
        ({"tls": "none", "user": None, "password": None}, "530"),
        ({"password": Secret(env="SECRET")}, "535"),
        ({"to": ("nobody@example.com",)}, "did not take"),
        ({"tls": "tls"}, "TLS is not accepted"),
    ],
)
def test_mail_that_is_not_taken_says_why(
    mail_server: tuple[Mailbox, int],
    certificates: Certificates,
    tmp_path: Path,
    engine: sa.Engine,
    change: dict[str, Any],
    said: str,
) -> None:
    mailbox, port = mail_server
    with pytest.raises(DeliveryError, match=said) as raised:
        deliver(an_email(port, certificates.authority, **change), tmp_path, engine)
    assert "sesame" not in str(raised.value)
    assert mailbox.came == []


def test_mail_that_one_of_two_has_is_not_sent_again(
    mail_server: tuple[Mailbox, int], certificates: Certificates, tmp_path: Path, engine: sa.Engine
) -> None:
    mailbox, port = mail_server
    with pytest.raises(DeliveryError, match="refused 1 of 2") as raised:
        deliver(an_email(port, certificates.authority, to=("nobody@example.com", "b@example.com")), tmp_path, engine)
    assert raised.value.final
    assert len(mailbox.came) == 1


INTEGER, TEXT = {"type": "integer"}, {"type": "string", "minLength": 1}
FINDING_SCHEMA = {
    # Written down from Detection Finding [2004] of OCSF 1.9.0: required attributes, types and values of what we send.
    "type": "object",
    "required": ["activity_id", "category_uid", "class_uid", "type_uid", "time", "severity_id", "metadata",
                 "finding_info"],
    "properties": {
        "activity_id": {"enum": [0, 1, 2, 3, 99]},
        "category_uid": {"const": 2},
        "class_uid": {"const": 2004},
        "type_uid": {"enum": [200400, 200401, 200402, 200403, 200499]},
        "time": INTEGER,
        "message": TEXT,
        "severity_id": {"enum": [0, 1, 2, 3, 4, 5, 6, 99]},
        "status_id": {"enum": [0, 1, 2, 3, 4, 5, 6, 99]},
        "confidence_id": {"enum": [0, 1, 2, 3, 99]},
        "confidence_score": INTEGER,
        "is_alert": {"type": "boolean"},
        "metadata": {
            "type": "object",
            "required": ["product", "version"],
            "properties": {
                "version": {"const": "1.9.0"},
                "uid": TEXT,
                "product": {
                    "type": "object",
                    "anyOf": [{"required": ["name"]}, {"required": ["uid"]}],
                    "properties": {"name": TEXT, "vendor_name": TEXT, "version": TEXT},
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
        "finding_info": {
            "type": "object",
            "required": ["uid"],
            "properties": {
                "uid": TEXT,
                "title": TEXT,
                "types": {"type": "array", "items": TEXT},
                "analytic": {
                    "type": "object",
                    "required": ["type_id"],
                    "properties": {"name": TEXT, "version": TEXT, "type_id": {"enum": [0, 1, 2, 3, 4, 5, 99]}},
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
        "resources": {
            "type": "array",
            "items": {
                "type": "object",
                "anyOf": [{"required": ["name"]}, {"required": ["uid"]}],
                "properties": {"uid": TEXT, "type": TEXT},
                "additionalProperties": False,
            },
        },
        "unmapped": {"type": "object"},
    },
    "additionalProperties": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "alert",
    [AN_ALERT, events.trial("lake", NOW), *events.about_case(None, a_case(), number=1, at_us=NOW, by="ann")],
    ids=lambda alert: alert.type,
)
def test_a_finding_is_one_by_the_schema(alert: events.Alert) -> None:
    finding = json.loads(ocsf.body(alert))
    jsonschema.validate(finding, FINDING_SCHEMA)
    assert finding["type_uid"] == finding["class_uid"] * 100 + finding["activity_id"]
    assert finding["time"] == NOW // 1000
    jsonschema.validate(ocsf.event(with_accounts(alert)), FINDING_SCHEMA)


def with_accounts(alert: events.Alert) -> events.Alert:
    more = {name: getattr(alert, name) for name in alert.__struct_fields__}
    return events.Alert(**more | {"data": alert.data | {"account_ids": ["a", "b"]}})


def test_findings_are_lines_of_a_file_that_may_be_rotated(tmp_path: Path, engine: sa.Engine) -> None:
    sink, path = Ocsf(name="lake", file="out/ocsf.jsonl"), tmp_path / "out" / "ocsf.jsonl"
    deliver(sink, tmp_path, engine)
    deliver(sink, tmp_path, engine)
    path.rename(tmp_path / "out" / "ocsf.jsonl.1")
    deliver(sink, tmp_path, engine)
    assert len(path.read_bytes().splitlines()) == 1
    assert path.stat().st_mode & 0o077 == 0
    # A line that a crash cut off does not swallow the next.
    path.write_bytes(path.read_bytes()[:100])
    deliver(sink, tmp_path, engine)
    whole = path.read_text().splitlines()
    assert json.loads(whole[1])["metadata"]["uid"] == "alert_1"
    with pytest.raises(DeliveryError, match="cannot append"):
        deliver(Ocsf(name="lake", file="out"), tmp_path, engine)


def test_findings_are_posted_with_their_authorization(receiver: Receiver, tmp_path: Path, engine: sa.Engine) -> None:
    sink = Ocsf(name="lake", url=receiver.url, authorization=Secret(env="TOKEN"), **HERE)
    deliver(sink, tmp_path, engine)
    ((headers, body),) = receiver.came
    assert headers["authorization"] == "Bearer t"
    assert json.loads(body)["class_uid"] == 2004
    with pytest.raises(InputError, match="no value of a header"):
        deliver(sink, tmp_path, engine, {"TOKEN": "a\r\nX-Evil: b"})


def test_tls_of_the_system_is_the_default() -> None:
    context = connecting.tls_context(None)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
