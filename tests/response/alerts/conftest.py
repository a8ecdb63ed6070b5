"""A receiver on loopback that answers what a test says, and certificates of a test's own authority."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.response.conftest import NOW
from tiergate.clock import DAY
from tiergate.ledger.verdicts import Action
from tiergate.response.alerts.events import Alert
from tiergate.response.case_files import CaseFile, Found

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def a_case(case_id: str = "case_1", **more: object) -> CaseFile:
    found = Found(
        look=1, digest="d" * 64, case_id=f"{case_id}-1", first_seen_us=NOW - DAY, last_seen_us=NOW, accounts=36,
        exchanges=900, output_tokens=10_000, value_usd=None, capability="general", confidence=0.999, q_value=0.001,
        e_value=10.0, recommended=Action.LIMIT, summary="Jane Doe's accounts act as one",
    )  # fmt: skip
    return CaseFile(**({"case_id": case_id, "opened_at_us": NOW, "found": found} | more))  # type: ignore[arg-type]


AN_ALERT = Alert(alert_id="alert_1", type="case.step", at_us=NOW, title="case_1: limit <!here> & *more*",
                 data={"case_id": "case_1", "step": "limit", "confidence": 0.999, "accounts": 36})  # fmt: skip


@dataclass
class Receiver:
    """What came, and ``answer``: the status for it, or anything that is done with the handler instead."""

    url: str = ""
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: int | Callable[[BaseHTTPRequestHandler], None] = 204

    def handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
                if callable(receiver.answer):
                    receiver.answer(self)
                    return
                self.send_response(receiver.answer)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _serve(receiver: Receiver, context: ssl.SSLContext | None) -> Iterator[Receiver]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), receiver.handler())
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    receiver.url = f"http{'s' if context else ''}://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield receiver
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    yield from _serve(Receiver(), None)


@dataclass(frozen=True)
class Certificates:
    """An authority's certificate, and a server's of it for 127.0.0.1 with its key, as PEM files."""

    authority: Path
    chain: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain)
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    now = dt.datetime.now(dt.UTC)

    def made(name: str, issuer: x509.Name, signing: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePrivateKey,
             *more: tuple[x509.ExtensionType, bool]) -> x509.Certificate:  # fmt: skip
        builder = x509.CertificateBuilder(
            issuer, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key(),
            x509.random_serial_number(), now - dt.timedelta(hours=1), now + dt.timedelta(days=1),
        )  # fmt: skip
        for extension, critical in more:
            builder = builder.add_extension(extension, critical)
        return builder.sign(signing, hashes.SHA256())

    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    ski = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = made(
        "test authority", name, authority_key, authority_key,
        (x509.BasicConstraints(True, None), True), (usage, True), (ski, False),
    )  # fmt: skip
    server = made(
        "server", name, authority_key, server_key,
        (x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), False),
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    (folder / "authority.pem").write_bytes(authority.public_bytes(pem))
    key = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "chain.pem").write_bytes(server.public_bytes(pem) + key)
    return Certificates(folder / "authority.pem", folder / "chain.pem")


@pytest.fixture
def tls_receiver(certificates: Certificates) -> Iterator[Receiver]:
    yield from _serve(Receiver(), certificates.context())
