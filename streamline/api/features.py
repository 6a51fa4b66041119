"""
UpdateFeatures (57): at which levels the cluster runs its features (KIP-584).

Behaviour: all that is asked for is agreed on as one, or nothing of it.  Which features there are is said by
ApiVersions, and decided in L{streamline.cluster.features}.

Version notes: 0 says whether a level may fall, 1 how, and can ask to only look (KIP-778); from 2 on there is no result
for each feature, as they have one outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred

from streamline.api.call import Call
from streamline.api.deciding import decide
from streamline.cluster.features import Direction, FeatureUpdate, update_features
from streamline.errors import ErrorCode, Refused
from streamline.wire.messages.cluster import (
    FeatureUpdateKey,
    UpdatableFeatureResult,
    UpdateFeaturesRequest,
    UpdateFeaturesResponse,
)

TYPED_FROM: Final = 1
UNEXPECTED: Final = (ErrorCode.UNKNOWN_SERVER_ERROR, ErrorCode.KAFKA_STORAGE_ERROR)
"""What says that a change was fine and could not be made, in the words of consensus."""


def update(call: Call, request: UpdateFeaturesRequest) -> Deferred[UpdateFeaturesResponse]:
    """Change levels."""
    return Deferred.fromCoroutine(_update(call, request))


async def _update(call: Call, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse:
    updates = _updates(call.version, request.feature_updates)
    await decide(call, lambda image: update_features(image, updates), validate_only=request.validate_only)
    results = [UpdatableFeatureResult(feature=one.name, error_message=None) for one in updates]
    return UpdateFeaturesResponse(error_message=None, results=results)


def _updates(version: int, wanted: Sequence[FeatureUpdateKey]) -> Sequence[FeatureUpdate]:
    return [FeatureUpdate(one.feature, one.max_version_level, _direction(version, one)) for one in wanted]


def _direction(version: int, wanted: FeatureUpdateKey) -> int:
    if version >= TYPED_FROM:
        return wanted.upgrade_type
    return Direction.SAFE_DOWNGRADE if wanted.allow_downgrade else Direction.UPGRADE


def not_updated(request: UpdateFeaturesRequest, refusal: Refused) -> UpdateFeaturesResponse:
    """Refuse a request."""
    code = ErrorCode.FEATURE_UPDATE_FAILED if refusal.code in UNEXPECTED else refusal.code
    return UpdateFeaturesResponse(error_code=code, error_message=refusal.message or None)
