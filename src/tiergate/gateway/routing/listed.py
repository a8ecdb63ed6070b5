"""Routes as people look at them: the file as a gateway reads it, without its keys, or every fault of it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tiergate.admission.models import FILE as MODELS
from tiergate.admission.models import read_models
from tiergate.errors import InputError
from tiergate.gateway.routing.reload import FILE, read
from tiergate.gateway.routing.routes import FaultyRoutesError


class ListedUpstream(msgspec.Struct, frozen=True, kw_only=True):
    """``key_env``: the variable that holds its key, None where it needs none."""

    name: str
    url: str
    dialect: str
    concurrency: int
    key_env: str | None


class ListedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that callers may name, and who answers."""

    name: str
    upstream: str
    upstream_model: str
    tier: str | None
    region: str | None
    context_tokens: int
    capabilities: tuple[str, ...]


class ListedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A name that stands for several models. ``offered``: those that an error may name and that are never tried."""

    name: str
    strategy: str
    candidates: tuple[str, ...]
    offered: tuple[str, ...]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """``file``: its name, None where there is none, and all requests go to the one upstream of the settings.
    ``faults``: each with its line; a gateway that runs keeps to the file before then."""

    file: str | None
    faults: tuple[str, ...] = ()
    upstreams: tuple[ListedUpstream, ...] = ()
    models: tuple[ListedModel, ...] = ()
    groups: tuple[ListedGroup, ...] = ()


def routes_of(data: Path) -> Listed:
    """The routes in a data folder."""
    path = data / FILE
    if not path.exists():
        return Listed(file=None)
    try:
        routes = read(path, read_models(data / MODELS), None)
    except FaultyRoutesError as error:
        return Listed(file=FILE, faults=tuple(error.faults))
    except InputError as error:
        return Listed(file=FILE, faults=(str(error),))
    return Listed(
        file=FILE,
        upstreams=tuple(
            ListedUpstream(
                name=one.name, url=one.url, dialect=one.dialect, concurrency=one.concurrency, key_env=one.key_env
            )
            for one in routes.upstreams.values()
        ),
        models=tuple(
            ListedModel(
                name=one.name, upstream=one.upstream.name, upstream_model=one.upstream_model, tier=one.tier,
                region=one.region, context_tokens=one.context_tokens, capabilities=tuple(sorted(one.capabilities)),
            )
            for one in routes.candidates.values()
        ),
        groups=tuple(
            ListedGroup(
                name=name, strategy=group.strategy, candidates=tuple(one.name for one in group.candidates),
                offered=tuple(one.name for one in group.offered),
            )
            for name, group in routes.groups.items() if name not in routes.candidates
        ),
    )  # fmt: skip
