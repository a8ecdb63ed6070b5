"""Runs the mock as a process of its own."""

from __future__ import annotations

import argparse
import json
import socket

import uvicorn

from tiergate.simulation.mock_upstream.application import MockUpstream


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tiergate.simulation.mock_upstream",
        description="A stand-in for a model provider, on loopback: OpenAI's API, and answers of some words.",
    )
    parser.add_argument("--port", type=int, default=0, help="a free one if not given; the address is printed as JSON")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="before an answer and between streamed events")
    options = parser.parse_args()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    listener.listen(1024)
    print(json.dumps({"address": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)  # noqa: T201
    application = MockUpstream(options.delay_ms / 1000)
    config = uvicorn.Config(application, http="httptools", loop="uvloop", lifespan="off", log_level="warning")
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
