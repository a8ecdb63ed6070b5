"""What every command says and shows: tables on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

PLAIN_STEP = 0.25
"""Without a terminal, progress is a line whenever this much more of a task is done."""


class Advance(Protocol):
    """Tells how far one task is: a few words and the share done, 0 to 1."""

    def __call__(self, words: str, share: float) -> None: ...


def visible(text: str) -> str:
    """Text in which U+202E becomes `u{202e}` behind a backslash, and so its like, also the end of a line: what somebody
    wrote must read as it is, and neither move a terminal's cursor nor pass for a line of ours."""
    return "".join(one if one.isprintable() else f"\\u{{{ord(one):x}}}" for one in text)


def say(text: str = "") -> None:
    """Lines for people, on stdout."""
    sys.stdout.write("".join(f"{visible(line)}\n" for line in text.split("\n")))
    sys.stdout.flush()


def note(line: str) -> None:
    """One line beside the result, on stderr; an object where `TIERGATE_LOG` asks for JSON lines."""
    if os.environ.get("TIERGATE_LOG") == "json":
        time = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = json.dumps({"time": time, "level": "info", "event": line, "logger": "tiergate.cli"})
    else:
        line = "\n".join(map(visible, f"tiergate: {line}".split("\n")))
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def say_json(value: Any) -> None:
    """A result for machines, on stdout; times become RFC 3339."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def moment(time_us: int) -> str:
    """Microseconds since the epoch as `2026-09-03 14:05`, UTC."""
    return f"{datetime.fromtimestamp(time_us / 1e6, UTC):%Y-%m-%d %H:%M}"


@contextmanager
def progress(title: str) -> Iterator[Advance]:
    """A bar on stderr when it is a terminal, else a plain line at every quarter."""
    if sys.stderr.isatty():
        with _bar(title) as advance:
            yield advance
    else:
        yield _PlainLines(title)


class _PlainLines:
    def __init__(self, title: str) -> None:
        self._title = title
        self._next = PLAIN_STEP

    def __call__(self, words: str, share: float) -> None:
        if share >= self._next - 1e-9:
            self._next = (share // PLAIN_STEP + 1) * PLAIN_STEP
            note(f"{self._title}: {min(share, 1.0):.0%}{', ' + words if words else ''}")


@contextmanager
def _bar(title: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<28}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[words]}", style="dim", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=False) as bars:
        task = bars.add_task(title, total=1.0, words="")

        def advance(words: str, share: float) -> None:
            bars.update(task, completed=share, words=words)

        yield advance
