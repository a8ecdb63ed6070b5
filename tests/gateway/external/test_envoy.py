"""A real Envoy with the examples of `examples/envoy`, in front of the authorizer, over HTTP and over gRPC."""

from __future__ import annotations

import datetime as dt
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from benchmarks.june_world import CLOSED, COMMODITY, HEADERS, Person
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.gateway.conftest import GIVE_UP_S
from tests.gateway.external.conftest import (
    LARGEST,
    ROOT,
    TOKEN,
    Authorizing,
    Model,
    ask,
    authorizing,
    free_port,
    installed,
    process,
    suspend,
)
from tiergate.admission.holders import Holders, Proof
from tiergate.clock import SystemClock

CHAT = "/v1/chat/completions"
UPSTREAM_KEY = "sk-upstream"


class Certificates(NamedTuple):
    """``server``: Envoy's; ``caller``: one that Envoy verifies, with its fingerprint."""

    folder: Path
    server: Path
    caller: Path
    fingerprint: str


def certificate(folder: Path, name: str) -> tuple[Path, str]:
    """A self-signed certificate with its key in one file, and its SHA-256."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(private)
    return path, made.fingerprint(hashes.SHA256()).hex()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("tls")
    server, _ = certificate(folder, "server")
    caller, fingerprint = certificate(folder, "callers")
    return Certificates(folder, server, caller, fingerprint)


@contextmanager
def envoy(kind: str, folder: Path, certificates: Certificates, ports: dict[int, int], **replaced: str) -> Iterator[str]:
    """Envoy as the example has it, with other ports and addresses; gives its own."""
    config = (ROOT / "examples" / "envoy" / f"ext_authz_{kind}.yaml").read_text()
    port = free_port()
    for old, new in {8443: port, **ports}.items():
        assert f"port_value: {old}}}" in config or old == 8071
        config = config.replace(f"port_value: {old}}}", f"port_value: {new}}}").replace(f':{old}"', f':{new}"')
    replaced = {"/etc/envoy": str(certificates.folder), "model.example.com": "127.0.0.1", "0.0.0.0": "127.0.0.1"}
    for old, new in replaced.items():
        config = config.replace(old, new)
    (folder / f"{kind}.yaml").write_text(config)
    command = [str(installed("envoy") / "envoy"), "-c", str(folder / f"{kind}.yaml"), "--concurrency", "1"]
    command += ["--disable-hot-restart", "--log-level", "warn"]
    with process(command, folder / f"{kind}.out", f"127.0.0.1:{port}", {"UPSTREAM_KEY": UPSTREAM_KEY}):
        yield f"https://localhost:{port}"


@pytest.fixture(scope="module", params=["http", "grpc"])
def address(
    request: pytest.FixtureRequest, authorizer: Authorizing, model: Model, certificates: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:  # fmt: skip
    ports = {8070: authorizer.port, 8071: authorizer.grpc_port, 8000: model.port}
    with envoy(request.param, tmp_path_factory.mktemp("envoy"), certificates, ports) as started:
        yield started


def through(
    address: str, person: Person | None, body: Any, certificates: Certificates, path: str = CHAT,
    headers: dict[str, str] | None = None, caller: bool = False,
) -> tuple[int, dict[str, str], Any]:  # fmt: skip
    context = ssl.create_default_context(cafile=str(certificates.server))
    if caller:
        context.load_cert_chain(certificates.caller, certificates.caller.with_suffix(".key"))
    key = {} if person is None else {"authorization": f"Bearer {person.key}"}
    status, told, said = ask(address, path, body, key | (headers or {}), context=context)
    return status, told, json.loads(said) if said.startswith(b"{") else said


def asking(model: str = COMMODITY, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "What is tin?"}], "max_tokens": 100} | more


def test_what_is_allowed_reaches_the_model_with_our_headers_and_without_the_callers_key(
    address: str, authorizer: Authorizing, model: Model, certificates: Certificates
) -> None:
    person = authorizer.world.of("commodity")[10]
    before = len(authorizer.rows(person.account_id))
    forged = {
        "x-api-key": person.key, "x-tiergate-account-id": "acct-other", "x-tiergate-decision-id": "7",
        "x-tiergate-report-token": TOKEN, "x-tiergate-client-cert": "ab" * 32, "x-forwarded-for": "203.0.113.7",
    }  # fmt: skip
    status, told, said = through(address, person, asking(), certificates, headers=forged)
    assert (status, said["choices"][0]["message"]["content"]) == (200, "tin")
    reached = model.reached[-1]
    assert reached["authorization"] == f"Bearer {UPSTREAM_KEY}"
    ours = {name: value for name, value in reached.items() if name.startswith("x-tiergate-")}
    assert ours == {
        "x-tiergate-exchange-id": told["x-tiergate-exchange-id"],
        "x-tiergate-account-id": person.account_id,
        "x-tiergate-model": COMMODITY,
    }
    assert "x-api-key" not in reached
    assert person.key not in json.dumps(reached)
    row = authorizer.rows(person.account_id)[before]
    assert (row["exchange_id"], row["finish_reason"]) == (told["x-tiergate-exchange-id"], "authorized")
    assert row["client_address"] not in (None, "203.0.113.7")
    assert row["sketch_words"]


def test_a_large_body_passes_a_stream_too_and_one_over_the_limit_is_refused(
    address: str, authorizer: Authorizing, certificates: Certificates
) -> None:
    person = authorizer.world.of("commodity")[11]
    status, told, said = through(address, person, asking(stream=True), certificates)
    assert (status, told["content-type"], said.endswith(b"[DONE]\n\n")) == (200, "text/event-stream", True)
    messages = [{"role": "user", "content": "tin " * (LARGEST // 5)}]
    assert through(address, person, asking(messages=messages), certificates)[0] == 200
    messages = [{"role": "user", "content": "x" * LARGEST}]
    status, _, said = through(address, person, asking(messages=messages), certificates)
    assert (status, said["error"]["code"]) == (413, "request_too_large")


def test_an_unknown_key_is_told_so_in_the_callers_dialect(address: str, certificates: Certificates) -> None:
    status, _, said = through(address, None, asking(), certificates, headers={"authorization": "Bearer tg_x"})
    assert (status, said["error"]["code"]) == (401, "invalid_api_key")
    status, _, said = through(address, None, asking(), certificates, "/v1/messages", {"x-api-key": "tg_x"})
    assert (status, said["type"], said["error"]["tiergate"]["code"]) == (401, "error", "invalid_api_key")


def test_a_path_that_nobody_judges_is_closed(
    address: str, authorizer: Authorizing, model: Model, certificates: Certificates
) -> None:
    person, before = authorizer.world.of("commodity")[12], len(model.reached)
    for path in ("/v1/files", "/v1/chat/completions/x", "/v1/models/../files", "/v1/chat%2Fcompletions", "/admin"):
        assert through(address, person, asking(), certificates, path)[0] in (400, 404), path
    assert len(model.reached) == before


def test_the_classified_tier_needs_the_certificate_that_envoy_verified(
    address: str, authorizer: Authorizing, certificates: Certificates
) -> None:
    person = authorizer.world.of("eligible")[3]
    holders = Holders(authorizer.world.engine)
    proof = Proof(kind="client_certificate", digest=certificates.fingerprint)
    held = holders.get("account", person.account_id)
    assert held is not None
    holders.set(msgspec.structs.replace(held, proof=proof), author="ann", now_us=SystemClock().now_us())
    forged = HEADERS | {"x-tiergate-client-cert": certificates.fingerprint}
    status, told, said = through(address, person, asking(CLOSED), certificates, headers=forged)
    assert (status, said["error"]["code"]) == (403, "second_proof_missing")
    assert told["x-tiergate-fallback"]
    give_up = time.monotonic() + GIVE_UP_S
    while True:
        status, told, said = through(address, person, asking(CLOSED), certificates, headers=HEADERS, caller=True)
        if status == 200:
            break
        assert time.monotonic() < give_up, said
    assert int(told["x-tiergate-decision-id"]) >= 0
    status, _, said = through(
        address, person, asking(CLOSED), certificates, headers=HEADERS | {"x-tiergate-purpose": "attack"}, caller=True
    )
    assert (status, said["error"]["code"]) == (403, "purpose_not_allowed")


def test_a_verdict_is_obeyed_and_its_notice_can_be_read(
    address: str, authorizer: Authorizing, certificates: Certificates
) -> None:
    person = authorizer.world.of("commodity")[13]
    suspend(authorizer.world, person)
    give_up = time.monotonic() + GIVE_UP_S
    while (answer := through(address, person, asking(), certificates))[0] == 200:
        assert time.monotonic() < give_up
    assert (answer[0], answer[2]["error"]["code"]) == (403, "account_suspended")
    notice = answer[2]["error"]["tiergate"]["link"]
    path = "/verdicts/" + notice.rpartition("/")[2]
    status, _, told = through(address, None, None, certificates, path)
    assert (status, told.get("reason")) == (200, "a reason"), told


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_without_an_authorizer_nothing_passes(
    kind: str, model: Model, authorizer: Authorizing, certificates: Certificates, tmp_path: Path
) -> None:
    person, before = authorizer.world.of("commodity")[14], len(model.reached)
    with authorizing(tmp_path, authorizer.world) as started:
        ports = {8070: started.port, 8071: started.grpc_port, 8000: model.port}
        with envoy(kind, tmp_path, certificates, ports) as address:
            assert through(address, person, asking(), certificates)[0] == 200
            started.server.stop()
            assert through(address, person, asking(), certificates)[0] == 503
    assert len(model.reached) == before + 1
