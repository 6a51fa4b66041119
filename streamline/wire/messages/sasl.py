"""SASL: choose a mechanism, exchange its tokens."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, wire
from streamline.wire.types import ARRAY, BYTES, INT16, INT64, NULLABLE_STRING, STRING


@message(key=17, versions="0-1")
class SaslHandshakeRequest(Message):
    """The mechanism that the client wants."""

    mechanism: str = wire(STRING)


@message(key=17, versions="0-1")
class SaslHandshakeResponse(Message):
    """Whether it may have it, and which there are."""

    error_code: int = wire(INT16)
    mechanisms: Sequence[str] = wire(ARRAY(STRING))


@message(key=36, versions="0-2", flexible="2+")
class SaslAuthenticateRequest(Message):
    """One token of the mechanism."""

    auth_bytes: bytes = wire(BYTES)


@message(key=36, versions="0-2", flexible="2+")
class SaslAuthenticateResponse(Message):
    """The answering token, and how long the session lasts (KIP-368)."""

    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
    auth_bytes: bytes = wire(BYTES)
    session_lifetime_ms: int = wire(INT64, "1+", ignorable=True)
