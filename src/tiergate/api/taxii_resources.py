"""What TAXII 2.1 (OASIS Standard) sends and is asked, and the two collections that a lab has."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec

from tiergate.sharing.finding import NAMESPACE
from tiergate.sharing.selecting import MOST

KIND: Final = "application/taxii+json;version=2.1"
OBJECT_KIND: Final = "application/stix+json;version=2.1"

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TIME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?Z")
Values = Annotated[str, msgspec.Meta(min_length=1, max_length=8_192)]


class TaxiiError(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal (section 3.6.1). ``http_status`` is a text there."""

    title: str
    description: str
    error_code: str
    http_status: str


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """What is here (section 4.1)."""

    title: str
    default: str
    api_roots: list[str]


class ApiRoot(msgspec.Struct, frozen=True, kw_only=True):
    """An API root (section 4.2)."""

    title: str
    versions: list[str]
    max_content_length: int


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """A collection (section 5.2). ``x_tiergate_events``: what is added to it is told at once at `events/` below it."""

    id: str
    title: str
    description: str
    alias: str
    can_read: bool
    can_write: bool
    media_types: list[str]
    x_tiergate_events: bool


class Collections(msgspec.Struct, frozen=True, kw_only=True):
    """All of them (section 5.1)."""

    collections: list[Collection]


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of objects (section 3.7)."""

    objects: list[dict[str, Any]] = []
    more: bool = False
    next: str = ""


class ManifestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An object without its content (section 5.3.1)."""

    id: str
    date_added: str
    version: str
    media_type: str = OBJECT_KIND


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of them."""

    objects: list[ManifestRecord] = []
    more: bool = False
    next: str = ""


class Versions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Versions of an object, a page of them (section 5.8)."""

    versions: list[str] = []
    more: bool = False
    next: str = ""


class StatusDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one object (section 4.3.1)."""

    id: str
    version: str
    message: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of a request to add objects (section 4.3). A list that would be empty is left out (section 2.1)."""

    id: str
    status: str
    request_timestamp: str
    total_count: int
    success_count: int
    failure_count: int
    pending_count: int
    successes: list[StatusDetail] = []
    failures: list[StatusDetail] = []


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From where on; what `Last-Event-ID` says counts where it is later."""

    added_after: Annotated[str, msgspec.Meta(pattern=f"^{TIME.pattern}$")] | None = None


class VersionsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page is wanted. ``limit``: above 1,000 counts as 1,000; ``next``: of the page before."""

    added_after: Annotated[str, msgspec.Meta(pattern=f"^{TIME.pattern}$")] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1)] = MOST
    next: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,18}$")] | None = None
    spec: Values | None = msgspec.field(default=None, name="match[spec_version]")


class ObjectQuery(VersionsQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which versions are wanted: `first`, `last`, `all` or times."""

    version: Values | None = msgspec.field(default=None, name="match[version]")


class ObjectsQuery(ObjectQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which objects are wanted, by ids and types with a comma between them."""

    ids: Values | None = msgspec.field(default=None, name="match[id]")
    kinds: Values | None = msgspec.field(default=None, name="match[type]")


FINDINGS: Final = Collection(
    id=str(uuid.uuid5(NAMESPACE, "collection findings")),
    title="Findings",
    description="What this lab tells of distillation campaigns, sightings and opinions.",
    alias="findings",
    can_read=True,
    can_write=False,
    media_types=[OBJECT_KIND],
    x_tiergate_events=True,
)
INBOX: Final = Collection(
    id=str(uuid.uuid5(NAMESPACE, "collection inbox")),
    title="Inbox",
    description="What peers tell this lab. Nobody reads it here.",
    alias="inbox",
    can_read=False,
    can_write=True,
    media_types=[OBJECT_KIND],
    x_tiergate_events=False,
)
COLLECTIONS: Final = (FINDINGS, INBOX)


def time_of(at_us: int) -> str:
    """A time as TAXII has it, to the microsecond."""
    return (EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="microseconds").replace("+00:00", "Z")
