"""What a request requires of whoever answers it, and why a candidate does not have it.

Requirements of the request, of its `x-tiergate-require-*` headers and of policies are joined, and joining only ever
tightens. What is not known of a candidate never meets a requirement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Final

import msgspec

from tiergate.errors import InputError
from tiergate.gateway.routing.candidates import Candidate, Capability, Days, Origin, Region

Tokens = Annotated[int, msgspec.Meta(ge=0)]


class Requirements(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``regions``: None is anywhere, and none at all is nowhere. ``retention_days``: the most that a provider may keep
    a request, None is for ever. ``context_tokens``, ``output_tokens``: at least so many must fit."""

    capabilities: frozenset[Capability] = frozenset()
    context_tokens: Tokens = 0
    output_tokens: Tokens = 0
    regions: frozenset[Region] | None = None
    retention_days: Days | None = None
    barred_origins: frozenset[Origin] = frozenset()

    def __and__(self, other: Requirements) -> Requirements:
        """Both of them: a candidate meets it if and only if it meets each."""
        if self == _NONE:
            return other
        return Requirements(
            capabilities=self.capabilities | other.capabilities,
            context_tokens=max(self.context_tokens, other.context_tokens),
            output_tokens=max(self.output_tokens, other.output_tokens),
            regions=_common(self.regions, other.regions),
            retention_days=min((d for d in (self.retention_days, other.retention_days) if d is not None), default=None),
            barred_origins=self.barred_origins | other.barred_origins,
        )


_NONE: Final = Requirements()


class Exclusion(msgspec.Struct, frozen=True):
    """Why a candidate is not asked: a code for programs and words for people."""

    code: str
    text: str


def of_request(
    *, tools: bool = False, vision: bool = False, structured_output: bool = False, stream: bool = False,
    input_tokens: int = 0, max_tokens: int | None = None,
) -> Requirements:  # fmt: skip
    """What a request requires by what it holds; its input and the answer that it allows share the context."""
    wanted: dict[Capability, bool] = {
        "tools": tools, "vision": vision, "structured_output": structured_output, "streaming": stream,
    }  # fmt: skip
    output = max(0, max_tokens or 0)
    return Requirements(
        capabilities=frozenset(name for name, needed in wanted.items() if needed),
        context_tokens=max(0, input_tokens) + output,
        output_tokens=output,
    )


def exclusions(candidate: Candidate, required: Requirements) -> list[Exclusion]:
    """Every requirement that the candidate does not meet; empty for one that qualifies."""
    lacking = required.capabilities - candidate.capabilities
    found = [Exclusion(f"no_{name}", f"it has no {name.replace('_', ' ')}") for name in sorted(lacking)]
    if candidate.context_tokens < required.context_tokens:
        text = f"{required.context_tokens:,} tokens are needed, its context holds {candidate.context_tokens:,}"
        found.append(Exclusion("context_too_small", text))
    if candidate.output_tokens is not None and candidate.output_tokens < required.output_tokens:
        text = (
            f"an answer of {required.output_tokens:,} tokens is asked for, it gives at most {candidate.output_tokens:,}"
        )
        found.append(Exclusion("output_too_small", text))
    if required.regions is not None:
        if candidate.region is None:
            found.append(Exclusion("region_not_known", "nobody has said in which region it is"))
        elif not any(_lies_in(candidate.region, region) for region in required.regions):
            text = f"it is in {candidate.region}, allowed is {', '.join(sorted(required.regions)) or 'no region'}"
            found.append(Exclusion("region_not_allowed", text))
    if required.retention_days is not None:
        if candidate.retention_days is None:
            found.append(Exclusion("retention_not_known", "nobody has said how long its provider keeps a request"))
        elif candidate.retention_days > required.retention_days:
            text = f"a request is kept for {candidate.retention_days} days, allowed are {required.retention_days}"
            found.append(Exclusion("retention_too_long", text))
    if required.barred_origins:
        if candidate.origin is None:
            found.append(Exclusion("origin_not_known", "nobody has said in which country the model was made"))
        elif candidate.origin in required.barred_origins:
            found.append(Exclusion("origin_barred", f"the model was made in {candidate.origin}, which is barred"))
    return found


_PREFIX: Final = b"x-tiergate-require-"
_HEADERS: Final[dict[str, tuple[str, Callable[[str], object]]]] = {
    "capabilities": ("capabilities", lambda text: [part.replace("-", "_") for part in _parts(text)]),
    "context": ("context_tokens", int),
    "region": ("regions", lambda text: _parts(text)),
    "retention-days": ("retention_days", int),
    "origin-not": ("barred_origins", lambda text: [part.upper() for part in _parts(text)]),
}
LONGEST_HEADER: Final = 256


def from_headers(headers: Iterable[tuple[bytes, bytes]]) -> Requirements:
    """The requirements of `x-tiergate-require-*` headers; one that is repeated requires both.

    Raises `InputError` for a header of that prefix that is not known or whose value cannot be read: one that was
    passed over would let through what it was to keep out.
    """
    joined = _NONE
    for name, value in headers:
        if not name.startswith(_PREFIX):
            continue
        kind = name[len(_PREFIX) :].decode("latin-1")
        if kind not in _HEADERS:
            known = ", ".join(f"x-tiergate-require-{one}" for one in _HEADERS)
            raise InputError(f"there is no header `{name.decode('latin-1')[:64]}`: there are {known}")
        field, read = _HEADERS[kind]
        try:
            if len(value) > LONGEST_HEADER:
                raise ValueError
            one = msgspec.convert({field: read(value.decode("ascii"))}, Requirements)
        except (ValueError, msgspec.ValidationError) as error:
            shown = value[:32].decode("ascii", "replace")
            raise InputError(f"`{name.decode('latin-1')}: {shown}` cannot be read, see docs/routing.md") from error
        joined = joined & one
    return joined


def _parts(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError("an empty part")
    return parts


def _lies_in(region: str, wider: str) -> bool:
    return region == wider or region.startswith(f"{wider}-")


def _common(ours: frozenset[str] | None, theirs: frozenset[str] | None) -> frozenset[str] | None:
    """The regions that lie in one of ours and in one of theirs."""
    if ours is None or theirs is None:
        return theirs if ours is None else ours
    narrow = {one for one in ours if any(_lies_in(one, other) for other in theirs)}
    return frozenset(narrow | {one for one in theirs if any(_lies_in(one, other) for other in ours)})
