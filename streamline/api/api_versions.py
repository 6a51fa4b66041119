"""
ApiVersions (18): what this node speaks.

Behaviour: an unknown version is answered too, in version 0, with error 35 and
the range of this API, so that the client can try again (KIP-511); the
connection does that, because such a request's body must not be read.

Features (KIP-584) are what clients may rely on: which ones this node knows, and at which levels the cluster runs them
(L{streamline.cluster.features}).

Version notes: 3 flexible, and the client says what it is called and of which
version (KIP-511); 4 features whose lowest level is 0, which earlier versions leave out (KAFKA-17011).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from streamline.api.call import Call
from streamline.cluster.features import SUPPORTED, finalized
from streamline.errors import ErrorCode
from streamline.wire.messages.api_versions import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)

API_VERSIONS = 18
NAMED_FROM = 3
FROM_ZERO_FROM = 4
_SUPPORTED = [
    SupportedFeatureKey(name=name, min_version=lowest, max_version=highest)
    for name, (lowest, highest) in sorted(SUPPORTED.items())
]
_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?")
"""What Kafka takes for the name or version of a client's software; it goes into logs and metrics."""


class Spoken(Protocol):
    """What is advertised of an API."""

    @property
    def key(self) -> int:
        """Its key."""

    @property
    def advertised_from(self) -> int:
        """The lowest version."""

    @property
    def versions(self) -> tuple[int, int]:
        """The versions that are answered."""


_advertised: list[ApiVersion] = []


def advertise(apis: Iterable[Spoken]) -> None:
    """Take the table; called once, by the module that holds it."""
    _advertised[:] = [
        ApiVersion(api_key=api.key, min_version=api.advertised_from, max_version=api.versions[1]) for api in apis
    ]


def api_versions(call: Call, request: ApiVersionsRequest) -> ApiVersionsResponse:
    """Answer with the table."""
    if call.version >= NAMED_FROM and not (
        _NAME.fullmatch(request.client_software_name) and _NAME.fullmatch(request.client_software_version)
    ):
        return ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST)
    image = call.broker.metadata.image
    return ApiVersionsResponse(
        api_keys=_advertised,
        supported_features=[one for one in _SUPPORTED if one.min_version or call.version >= FROM_ZERO_FROM],
        finalized_features_epoch=image.index,
        finalized_features=[
            FinalizedFeatureKey(name=name, min_version_level=level, max_version_level=level)
            for name, level in sorted(finalized(image).items())
        ],
    )


def unsupported() -> ApiVersionsResponse:
    """The answer, in version 0, to a version that is not spoken here."""
    return ApiVersionsResponse(
        error_code=ErrorCode.UNSUPPORTED_VERSION,
        api_keys=[spoken for spoken in _advertised if spoken.api_key == API_VERSIONS],
    )
