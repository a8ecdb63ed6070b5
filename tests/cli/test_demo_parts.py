"""Parts of the demonstration: its folder, its children and the requests it sends."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tiergate.cli.demo.children import free_port, server
from tiergate.cli.demo.run import prepare_folder
from tiergate.cli.demo.traffic import request_body, request_headers
from tiergate.errors import InputError, TiergateError
from tiergate.records.schema import EXCHANGE_SCHEMA

LISTEN = (
    "import http.server as h; h.ThreadingHTTPServer(('127.0.0.1', {port}), h.BaseHTTPRequestHandler).serve_forever()"
)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def exchange(**values: Any) -> dict[str, Any]:
    return dict.fromkeys(EXCHANGE_SCHEMA.names) | {
        "account_id": "a", "request_model": "m", "prompt_text": "hello", "started_at": datetime(2026, 9, 1, tzinfo=UTC),
    } | values  # fmt: skip


def test_a_child_is_up_inside_the_block_and_gone_after_it(tmp_path: Path) -> None:
    port = free_port()
    with server("test server", ["-c", LISTEN.format(port=port)], port=port, log=tmp_path / "log"):
        assert accepts(port)
    assert not accepts(port)


def test_a_child_is_gone_after_a_failure_too(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(KeyboardInterrupt), server("s", ["-c", LISTEN.format(port=port)], port=port, log=tmp_path / "l"):
        raise KeyboardInterrupt
    assert not accepts(port)


def test_a_child_that_cannot_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(TiergateError, match=r"the gateway ended while it started \(exit code 3\): no room"),
        server("gateway", ["-c", "print('no room'); raise SystemExit(3)"], port=free_port(), log=tmp_path / "log"),
    ):
        pass


def test_a_child_does_not_see_the_settings_of_the_one_who_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIERGATE_PORT", "1")
    script = "import os; print(sorted(k for k in os.environ if k.startswith('TIERGATE_'))); raise SystemExit(1)"
    with (
        pytest.raises(TiergateError, match=r"\['TIERGATE_DATA'\]"),
        server("s", ["-c", script], port=free_port(), log=tmp_path / "log", settings={"TIERGATE_DATA": "x"}),
    ):
        pass
    assert os.environ["TIERGATE_PORT"] == "1"


def test_only_what_a_demonstration_made_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "world").mkdir()
    with pytest.raises(InputError, match="holds files that no demonstration made"):
        prepare_folder(tmp_path / "mine")
    assert (tmp_path / "mine" / "world").is_dir()

    prepare_folder(tmp_path / "new")
    (tmp_path / "new" / "world").mkdir()
    (tmp_path / "new" / "notes").touch()
    prepare_folder(tmp_path / "new")
    assert not (tmp_path / "new" / "world").exists()
    assert (tmp_path / "new" / "notes").exists()


def test_a_request_says_what_the_exchange_records() -> None:
    plain = exchange()
    assert request_body(plain) == {
        "model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": False,
    }  # fmt: skip
    full = exchange(system_text="be brief", stream=True, temperature=0.0, max_tokens=9, tool_names=["f"])
    body = request_body(full)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert (body["stream"], body["temperature"], body["max_tokens"]) == (True, 0.0, 9)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["f"]


def test_a_request_carries_what_the_proxy_in_front_would_add() -> None:
    headers = request_headers(exchange(client_address="192.0.2.7", tls_fingerprint="t13d", user_agent="x/1"), "tg_k")
    assert headers == {
        "Authorization": "Bearer tg_k",
        "X-Tiergate-Time": "2026-09-01T00:00:00+00:00",
        "X-Forwarded-For": "192.0.2.7",
        "X-JA4": "t13d",
        "User-Agent": "x/1",
    }
