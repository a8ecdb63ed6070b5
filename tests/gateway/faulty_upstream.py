"""An upstream of OpenAI's API that fails in the way that the last message names, on loopback and in a thread."""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {
    "prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30, "prompt_tokens_details": {"cached_tokens": 4}
}  # fmt: skip
PIECE = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


class FaultyUpstream(ThreadingHTTPServer):
    """``asked``: the bodies that came, oldest first. What a question's first word brings about:

    `busy` 503, and `busy-once` the first time alone; `broken` 500; `moved` 302; `hang` no answer; `reset` none and the
    connection torn down; `half` a part of one; `cut` a stream that breaks off; `slow` one that does not end;
    `uncounted` an answer without usage; `picky` 400 for `stream_options`; any other an answer.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []
        self.times: Counter[str] = Counter()
        self.address = f"http://127.0.0.1:{self.server_port}"

    @property
    def questions(self) -> list[str]:
        """The last messages that came, oldest first."""
        return [str(asked["messages"][-1]["content"]) for asked in self.asked]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that hang up are what it is for."""


@contextmanager
def faulty_upstream() -> Iterator[FaultyUpstream]:
    with FaultyUpstream() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyUpstream

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(asked)
        question = self.server.questions[-1]
        self.server.times[question] += 1
        fault = question.partition(" ")[0]
        if fault == "busy" or (fault == "busy-once" and self.server.times[question] == 1):
            self._say(503, {"error": {"message": "busy"}})
        elif fault == "moved":
            self._say(302, {})
        elif fault == "broken":
            self._say(500, {"error": {"message": "broken"}})
        elif fault == "picky" and "stream_options" in asked:
            self._say(400, {"error": {"message": "unknown field stream_options"}})
        elif fault == "hang":
            self._until_left()
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        elif fault == "half":
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(b'{"id": "c", "choices"')
            self.close_connection = True
        elif asked.get("stream"):
            self._stream(fault, counted=fault not in ("uncounted", "picky"))
        else:
            answer = {"message": {"role": "assistant", "content": "Tin is soft."}, "index": 0, "finish_reason": "stop"}
            whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [answer]}
            self._say(200, whole if fault == "uncounted" else whole | {"usage": USAGE})

    def _stream(self, fault: str, *, counted: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number in range(3 if fault != "slow" else 10_000):
            self._event({"choices": [{"index": 0, "delta": {"content": f"tin {number} "}, "finish_reason": None}]})
            if fault == "slow":
                time.sleep(0.02)
        if fault == "cut":
            self.close_connection = True
            return
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if counted:
            self._event({"choices": [], "usage": USAGE})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, said: dict[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(PIECE | said).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _say(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _until_left(self) -> None:
        select.select([self.connection], [], [], 60)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass
