"""The messages of `envoy.service.auth.v3.Authorization` that we read and write, with the public API's field numbers.

Descriptors are made here, in a pool of their own: a message on the wire has numbers and no names. The packages on PyPI
that carry Envoy's API bring the modules of several other projects with them, and generated code binds to the version of
protobuf that it was generated for. Text of a request is declared as bytes, which is the same on the wire: headers and
bodies need not be UTF-8. Fields that are not here are left unread.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

METHOD: Final = "/envoy.service.auth.v3.Authorization/Check"
OVERWRITE: Final = 2
"""`HeaderValueOption.append_action`: OVERWRITE_IF_EXISTS_OR_ADD."""

_PACKAGE: Final = "tiergate.ext_authz"
_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_KINDS: Final = {"string": _FIELD.TYPE_STRING, "bytes": _FIELD.TYPE_BYTES, "int32": _FIELD.TYPE_INT32}
_MESSAGES: Final = {
    # envoy/service/auth/v3/external_auth.proto, attribute_context.proto
    "CheckRequest": "1 attributes AttributeContext",
    "AttributeContext": "4 request Request",
    "Request": "2 http HttpRequest",
    "HttpRequest": "2 method string, 3 headers *Header, 4 path bytes, 11 body bytes, 12 raw_body bytes",
    "Header": "1 key string, 2 value bytes",
    "CheckResponse": "1 status Status, 2 denied_response DeniedHttpResponse, 3 ok_response OkHttpResponse",
    "DeniedHttpResponse": "1 status HttpStatus, 2 headers *HeaderValueOption, 3 body bytes",
    "OkHttpResponse": "2 headers *HeaderValueOption, 5 headers_to_remove *string,"
    " 6 response_headers_to_add *HeaderValueOption",
    # envoy/config/core/v3/base.proto, envoy/type/v3/http_status.proto, google/rpc/status.proto
    "HeaderValueOption": "1 header HeaderValue, 3 append_action int32",
    "HeaderValue": "1 key string, 2 value bytes",
    "HttpStatus": "1 code int32",
    "Status": "1 code int32, 2 message string",
}
"""Number, name and type of fields, `*` where they are repeated. A map is repeated pairs, an enum a number."""


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="tiergate/ext_authz.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind in (one.split() for one in fields.split(", ")):
            plain = kind.removeprefix("*")
            made = message.field.add(name=field, number=int(number))
            made.label = _FIELD.LABEL_OPTIONAL if plain == kind else _FIELD.LABEL_REPEATED
            made.type = _KINDS.get(plain, _FIELD.TYPE_MESSAGE)
            if plain not in _KINDS:
                made.type_name = f".{_PACKAGE}.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    find = pool.FindMessageTypeByName
    return {name: message_factory.GetMessageClass(find(f"{_PACKAGE}.{name}")) for name in _MESSAGES}


_made = _classes()
CheckRequest, CheckResponse = _made["CheckRequest"], _made["CheckResponse"]
