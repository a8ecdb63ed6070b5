"""Which upstreams a request may be answered by, one after the other."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tiergate.gateway.dialects.adapters import Adapter
from tiergate.gateway.routing.failures import Failure
from tiergate.gateway.routing.router import Refusal
from tiergate.gateway.upstreams.upstream import Upstream


class Way(NamedTuple):
    """One upstream and what it is asked. ``model``: the candidate's name, None where there is no routing."""

    upstream: Upstream
    adapter: Adapter
    body: bytes
    model: str | None = None


class Ways(Protocol):
    """A request's ways. ``models``: names of all that may answer, as prices know them; ``wait_s``: before the one that
    `next` gave is asked. `tiergate.gateway.routing.attempts` says what the steps mean."""

    models: tuple[str, ...]

    @property
    def wait_s(self) -> float: ...

    def next(self) -> Way | None: ...

    def failed(self, failure: Failure) -> bool: ...

    def answered(self, status: int) -> None: ...

    def first_token(self) -> None: ...

    def ended(self, output_tokens: int | None, *, broke_off: bool = False) -> None: ...

    def close(self) -> None: ...

    def columns(self) -> dict[str, str | int | None]: ...

    def offer(self) -> str | None: ...

    def refusal(self) -> Refusal: ...


class OnlyWay:
    """The one upstream of the settings, asked once."""

    wait_s = 0.0

    def __init__(self, way: Way, model: str) -> None:
        self.models: tuple[str, ...] = (model,)
        self._way: Way | None = way

    def next(self) -> Way | None:
        way, self._way = self._way, None
        return way

    def failed(self, _: Failure) -> bool:
        return False

    def answered(self, _: int) -> None:
        pass

    def first_token(self) -> None:
        pass

    def ended(self, _: int | None, *, broke_off: bool = False) -> None:
        pass

    def close(self) -> None:
        pass

    def columns(self) -> dict[str, str | int | None]:
        return {}

    def offer(self) -> str | None:
        return None

    def refusal(self) -> Refusal:
        raise AssertionError("it can always be asked")
