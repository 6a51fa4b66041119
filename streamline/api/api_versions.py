"""
ApiVersions (18): what this node speaks.

Behaviour: an unknown version is answered too, in version 0, with error 35 and
the range of this API, so that the client can try again (KIP-511); the
connection does that, because such a request's body must not be read.

Features (KIP-584) are what clients may rely on, and only what this cluster has: metadata are not Kafka's, so there is
no metadata.version.

Version notes: 3 flexible, and the client says what it is called and of which
version (KIP-511); 4 features whose lowest version is 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from streamline.api.call import Call
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
ELR = "eligible.leader.replicas.version"
"""Partitions always have an ELR (KIP-966): from level 1 on, and there is no other."""
_SUPPORTED = (SupportedFeatureKey(name=ELR, min_version=1, max_version=1),)
_FINALIZED = (FinalizedFeatureKey(name=ELR, min_version_level=1, max_version_level=1),)
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
    return ApiVersionsResponse(
        api_keys=_advertised,
        supported_features=_SUPPORTED,
        finalized_features_epoch=call.broker.metadata.image.index,
        finalized_features=_FINALIZED,
    )


def unsupported() -> ApiVersionsResponse:
    """The answer, in version 0, to a version that is not spoken here."""
    return ApiVersionsResponse(
        error_code=ErrorCode.UNSUPPORTED_VERSION,
        api_keys=[spoken for spoken in _advertised if spoken.api_key == API_VERSIONS],
    )
