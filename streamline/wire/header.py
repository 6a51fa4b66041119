"""
Request and response headers: which message a frame holds, and which request a response answers.

A request's key and version are looked up before a single byte of its body is touched (KAFKA-5062): garbage that
happens to be a valid length must not make a parser allocate.
"""

from collections.abc import Callable
from struct import Struct
from struct import error as StructError

import attrs

from streamline.errors import ProtocolError
from streamline.model import Buffer
from streamline.wire.messages import REQUESTS
from streamline.wire.reading import skip_tags
from streamline.wire.schema import is_flexible
from streamline.wire.varints import TEXT_BYTES

API_VERSIONS = 18
CONTROLLED_SHUTDOWN = 7
MAX_TAGS = 100
"""How many tagged fields a header may have; Kafka has none so far."""

_FLEXIBLE: dict[tuple[int, int], bool] = {}
"""What L{flexible_of} has found out; only requests that there are get in."""

_SHORT = Struct(">hhi")
_LONG = Struct(">hhih")
_CORRELATION = Struct(">i")
_CORRELATION_AND_TAGS = Struct(">iB")


@attrs.define(slots=True, weakref_slot=False)
class RequestHeader:
    """
    What comes before a request's body.

    @ivar client_id: what the client calls itself; never trust it.
    @ivar at: where the body begins.
    @ivar is_known: false only for an ApiVersions of a version that is not known: the body must not be read, and
        the answer is version 0 with UNSUPPORTED_VERSION (KIP-511).
    """

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None
    at: int
    is_known: bool = True


def flexible_of(api_key: int, api_version: int) -> bool | None:
    """Say whether a request is flexible in that version; None where there is no such request or version."""
    known = _FLEXIBLE.get((api_key, api_version))
    if known is None:
        cls = REQUESTS.get(api_key)
        if cls is None or not cls.VERSIONS[0] <= api_version <= cls.VERSIONS[1]:
            return None
        known = _FLEXIBLE[api_key, api_version] = is_flexible(cls, api_version)
    return known


def request_header_version(api_key: int, api_version: int, flexible: bool) -> int:
    """Give the version of a request's header: 2 when flexible, else 1; 0 only for ControlledShutdown 0."""
    if api_key == CONTROLLED_SHUTDOWN and api_version == 0:
        return 0
    return 2 if flexible else 1


def response_header_version(api_key: int, flexible: bool) -> int:
    """Give the version of a response's header: 1 when flexible, but always 0 for ApiVersions."""
    return 1 if flexible and api_key != API_VERSIONS else 0


def read_request_header(
    buf: Buffer, flexible_of: Callable[[int, int], bool | None] = flexible_of
) -> RequestHeader:
    """
    Read the header of the request that fills C{buf}.

    @param flexible_of: says whether (api key, version) is flexible, or None if it is not spoken here; a listener
        that speaks less than all of Kafka passes its own.
    @raise ProtocolError: the header is malformed, or the key and version are not spoken here.
    """
    try:
        api_key, api_version, correlation_id, length = _LONG.unpack_from(buf, 0)
        flexible = flexible_of(api_key, api_version)
        if flexible is None or (api_key == CONTROLLED_SHUTDOWN and api_version == 0):
            return _unusual_header(buf, flexible)
        if length < 0:
            if length != -1:
                raise ProtocolError(f"a client id cannot have {length} bytes")
            client_id, at = None, 10
        else:
            at = 10 + length
            client_id = str(buf[10:at], "utf-8")
        if flexible:
            if buf[at]:
                at, _ = skip_tags(buf, at, MAX_TAGS)
            else:
                at += 1
        if at > len(buf):
            raise ProtocolError("a request header is cut short")
        return RequestHeader(api_key, api_version, correlation_id, client_id, at)
    except StructError:
        return _unusual_header(buf, None)
    except IndexError:
        raise ProtocolError("a request header is cut short") from None
    except UnicodeDecodeError:
        raise ProtocolError("a client id is not UTF-8") from None


def _unusual_header(buf: Buffer, flexible: bool | None) -> RequestHeader:
    """Read a header without a client id, or say why there is none to read."""
    try:
        api_key, api_version, correlation_id = _SHORT.unpack_from(buf, 0)
    except StructError:
        raise ProtocolError("a request header is cut short") from None
    if api_key == API_VERSIONS and flexible is None and api_version > 0:
        return RequestHeader(api_key, api_version, correlation_id, None, 8, is_known=False)
    if api_key == CONTROLLED_SHUTDOWN and api_version == 0 and flexible is not None:
        return RequestHeader(api_key, api_version, correlation_id, None, 8)
    if flexible is None:
        raise ProtocolError(f"api {api_key} version {api_version} is not spoken here")
    raise ProtocolError("a request header is cut short")


def write_request_header(
    api_key: int, api_version: int, correlation_id: int, client_id: str | None, flexible: bool | None = None
) -> bytes:
    """
    Write the header of a request.

    @param flexible: by default looked up.
    """
    if flexible is None:
        flexible = bool(flexible_of(api_key, api_version))
    version = request_header_version(api_key, api_version, flexible)
    if version == 0:
        return _SHORT.pack(api_key, api_version, correlation_id)
    name = b"" if client_id is None else client_id.encode()
    if len(name) > TEXT_BYTES:
        raise ValueError(f"a client id of {len(name)} bytes is longer than {TEXT_BYTES}")
    length = -1 if client_id is None else len(name)
    tags = b"\0" if version == 2 else b""
    return _LONG.pack(api_key, api_version, correlation_id, length) + name + tags


def response_header(api_key: int, api_version: int, correlation_id: int) -> bytes:
    """Write the header of the response to a request of that key and version."""
    if api_key != API_VERSIONS and flexible_of(api_key, api_version):
        return _CORRELATION_AND_TAGS.pack(correlation_id, 0)
    return _CORRELATION.pack(correlation_id)


def read_response_header(buf: Buffer, api_key: int, api_version: int) -> tuple[int, int]:
    """
    Read the header of a response to a request of that key and version.

    @return: the correlation id, and where the body begins.
    @raise ProtocolError: it is malformed.
    """
    try:
        (correlation_id,) = _CORRELATION.unpack_from(buf, 0)
        if api_key == API_VERSIONS or not flexible_of(api_key, api_version):
            return correlation_id, 4
        at = 5 if not buf[4] else skip_tags(buf, 4, MAX_TAGS)[0]
    except (StructError, IndexError):
        raise ProtocolError("a response header is cut short") from None
    return correlation_id, at
