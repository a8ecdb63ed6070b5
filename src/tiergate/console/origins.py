"""Where what is on a page comes from: the call and the command that give the same, and the facts it rests on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A fact's source: what it is called, where it is, and the day it was read or published."""

    title: str
    href: str | None = None
    day: str | None = None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """``api`` such as `GET /v1/cases`; ``command`` a command line; ``note`` what else a reader should know, such as
    that figures are simulated."""

    api: str | None = None
    command: str | None = None
    sources: Sequence[Source] = ()
    note: str = ""


def command(*words: object) -> str:
    """A command line that a shell reads as these words."""
    return shlex.join(str(word) for word in ("tiergate", *words))
