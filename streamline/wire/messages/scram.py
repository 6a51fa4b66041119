"""SCRAM credentials (KIP-554)."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, BYTES, INT8, INT16, INT32, NULLABLE_ARRAY, NULLABLE_STRING, STRING


@struct
class UserName:
    name: str = wire(STRING)


@message(key=50, versions="0", flexible="0+")
class DescribeUserScramCredentialsRequest(Message):
    """Users to describe; null is all of them."""

    users: Sequence[UserName] | None = wire(NULLABLE_ARRAY(UserName))


@struct
class CredentialInfo:
    mechanism: int = wire(INT8)
    iterations: int = wire(INT32)


@struct
class DescribeUserScramCredentialsResult:
    user: str = wire(STRING)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
    credential_infos: Sequence[CredentialInfo] = wire(ARRAY(CredentialInfo))


@message(key=50, versions="0", flexible="0+")
class DescribeUserScramCredentialsResponse(Message):
    """Mechanisms and iteration counts, never secrets."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
    results: Sequence[DescribeUserScramCredentialsResult] = wire(ARRAY(DescribeUserScramCredentialsResult))


@struct
class ScramCredentialDeletion:
    name: str = wire(STRING)
    mechanism: int = wire(INT8)


@struct
class ScramCredentialUpsertion:
    name: str = wire(STRING)
    mechanism: int = wire(INT8)
    iterations: int = wire(INT32)
    salt: bytes = wire(BYTES)
    salted_password: bytes = wire(BYTES)


@message(key=51, versions="0", flexible="0+")
class AlterUserScramCredentialsRequest(Message):
    """Credentials to delete and to set; the password comes salted."""

    deletions: Sequence[ScramCredentialDeletion] = wire(ARRAY(ScramCredentialDeletion))
    upsertions: Sequence[ScramCredentialUpsertion] = wire(ARRAY(ScramCredentialUpsertion))


@struct
class AlterUserScramCredentialsResult:
    user: str = wire(STRING)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)


@message(key=51, versions="0", flexible="0+")
class AlterUserScramCredentialsResponse(Message):
    """How each change went."""

    throttle_time_ms: int = wire(INT32)
    results: Sequence[AlterUserScramCredentialsResult] = wire(ARRAY(AlterUserScramCredentialsResult))
