"""OpenAI's embeddings: what we read of requests and answers."""

from __future__ import annotations

from typing import Final

import msgspec

from tiergate.gateway.dialects.adapters import through
from tiergate.gateway.dialects.common import Answered, Asked, Count, Usage, joined
from tiergate.gateway.dialects.sse import EventStream


class _Request(msgspec.Struct):
    model: str
    input: str | list[str | int | list[int]]
    user: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: Count | None = None


class _Answer(msgspec.Struct):
    model: str | None = None
    usage: _Usage | None = None


FIELDS: Final = _Request.__struct_fields__
_decode_request = msgspec.json.Decoder(_Request).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


def read_request(body: bytes) -> Asked:
    """What a request for embeddings asks; inputs that come as tokens have no text. Raises one of `UNREADABLE`."""
    request = _decode_request(body)
    given = [request.input] if isinstance(request.input, str) else request.input
    return Asked(
        model=request.model,
        end_user=request.user,
        answers=0,
        message_count=1 if given and isinstance(given[0], int) else len(given),
        prompt_text=joined(one for one in given if isinstance(one, str)),
    )


def read_answer(body: bytes) -> Answered:
    """What is told beside the vectors. Raises one of `UNREADABLE`."""
    answer = _decode_answer(body)
    usage = Usage(input_tokens=answer.usage.prompt_tokens, output_tokens=0) if answer.usage else None
    return Answered(model=answer.model, usage=usage)


ADAPTER: Final = through("/embeddings", read_answer, lambda _, keep_text, __: EventStream(keep_text=keep_text))
