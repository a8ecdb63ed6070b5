"""Server-sent events (WHATWG HTML, 9.2), read line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from tiergate.gateway.connecting import DeliveryError


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What was told. ``last_id``: the id that was told last, by which one goes on later."""

    data: bytes
    last_id: str | None


def events(line: Callable[[], bytes], most_bytes: int) -> Iterator[Event]:
    """Events until there is no more line; what is not whole then is dropped, as it comes again.

    :param line: the next line with its end, empty after the last. Raises `DeliveryError` for data of more than
        ``most_bytes``, and for an id that is no text.
    """
    data, last_id, size = list[bytes](), None, 0
    while read := line():
        text = read.rstrip(b"\r\n")
        if not text:
            if data:
                yield Event(data=b"\n".join(data), last_id=last_id)
            data, size = [], 0
            continue
        # A comment has no name. What else may be there, as the kind of an event, says nothing here.
        name, _, value = text.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
            size += len(value) + 1
            if size > most_bytes:
                raise DeliveryError(f"an event has more than {most_bytes:,} bytes")
        elif name == b"id" and b"\0" not in value:
            try:
                last_id = value.decode()
            except UnicodeDecodeError as error:
                raise DeliveryError("the id of an event is no text") from error
