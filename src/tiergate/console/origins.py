"""Where what is on a page comes from: the call and the command that give the same, and the facts it rests on."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


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


_ADDRESS: Final = re.compile(r"(?:https?://)?((?:[a-z0-9-]+\.)+[a-z]{2,})(?:/[^\s;,]*[^\s;,.:)])?", re.ASCII)
_SUFFIXES: Final = (".toml", ".csv", ".json", ".md", ".py")


def cited(text: str) -> list[Source]:
    """A citation in parts: an address as its host with a link, also one that is written without a scheme and has a
    path; what stands between as it is."""
    parts, end = [], 0
    for found in _ADDRESS.finditer(text):
        address, host = found[0], found[1]
        if not address.startswith("http") and ("/" not in address or host.endswith(_SUFFIXES)):
            continue
        parts.append(Source(text[end : found.start()]))
        parts.append(Source(host, address if address.startswith("http") else f"https://{address}"))
        end = found.end()
    return [one for one in [*parts, Source(text[end:])] if one.title]
