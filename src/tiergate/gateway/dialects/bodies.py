"""Changes to a request's body that leave all else as it came."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from tiergate.errors import InputError
from tiergate.gateway.dialects.common import Asked

_OTHER_MODELS: Final = ("models", "fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "extra_body")
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NULL: Final = msgspec.Raw(b"null")
_TRUE: Final = msgspec.Raw(b"true")
_WITH_USAGE: Final = b',"stream_options":{"include_usage":true}}'


def with_one_model(body: bytes, asked: Asked, read: Collection[str]) -> bytes:
    """The body with its model, and every other field, said once, as we read it.

    Upstreams differ in which of two `model` fields they take, and some take `Model` for it: what was judged must be
    what is asked for. Raises `InputError` for fields and tools by which some upstreams ask further models, and for
    `Max_Tokens` and the like, which some take for what we read under another spelling.

    :param read: names of the fields that are read.
    """
    fields = _decode_fields(body)
    _refuse_other_models(fields, asked, read)
    rest = {name: value for name, value in fields.items() if name.casefold() != "model"}
    return msgspec.json.encode({"model": asked.model} | rest)


def refuse_other_models(body: bytes, asked: Asked, read: Collection[str]) -> None:
    """Raise `InputError` for a body that `with_one_model` refuses or would change in what it asks: for bodies that
    reach the upstream as they are."""
    fields = _decode_fields(body)
    _refuse_other_models(fields, asked, read)
    names: Iterable[str] = fields
    # All escapes of the letters of `model` begin so. What has none, and says it once, is not read a second time.
    if body.count(b'"model"') != 1 or b"\\u006" in body:
        # The hook's last call is that of the outermost object.
        names = json.loads(body, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
    if [name for name in names if name.casefold() == "model"] != ["model"]:
        raise InputError("say `model` once, and under that very name")


def _refuse_other_models(fields: Collection[str], asked: Asked, read: Collection[str]) -> None:
    others = [name for name in fields if name.casefold() in _OTHER_MODELS]
    if others:
        raise InputError(f"`{others[0]}` would ask models that were not judged: leave it out")
    if others := [name for name in asked.tool_models if name != asked.model]:
        raise InputError(f"a tool would ask `{others[0][:200]}`, which was not judged: leave it out")
    respelt = [name for name in fields if name not in read and name.casefold() in read and name.casefold() != "model"]
    if respelt:
        raise InputError(f"write `{respelt[0]}` as `{respelt[0].casefold()}`, or leave it out")


def with_stream_usage(body: bytes) -> bytes:
    """A chat completion request whose stream ends with its usage, which OpenAI's API tells only who asks for it.

    :param body: a JSON object with at least one field.
    """
    if b'"stream_options"' not in body:
        return body[: body.rindex(b"}")] + _WITH_USAGE
    fields = _decode_fields(body)
    given = fields.get("stream_options", _NULL)
    options = {} if given == _NULL else _decode_fields(given)
    fields["stream_options"] = msgspec.Raw(msgspec.json.encode(options | {"include_usage": _TRUE}))
    return msgspec.json.encode(fields)


def without_stream_options(body: bytes) -> bytes:
    """The request for an upstream that refuses `stream_options`: what its stream used is estimated then."""
    if b'"stream_options"' not in body:
        return body
    return msgspec.json.encode(
        {name: value for name, value in _decode_fields(body).items() if name != "stream_options"}
    )
