"""UpdateFeatures: levels are changed by the controller, wherever that is asked for."""

from __future__ import annotations

from typing import Any

from streamline.api.features import not_updated
from streamline.cluster.features import SUPPORTED
from streamline.errors import ErrorCode, Refused
from streamline.wire.messages.api_versions import ApiVersionsRequest
from streamline.wire.messages.cluster import FeatureUpdateKey, UpdateFeaturesRequest, UpdateFeaturesResponse
from tests.api.cluster_case import ClusterCase

ELR = "eligible.leader.replicas.version"
SAFE = 2


class UpdateFeaturesTests(ClusterCase):
    """Three nodes, and the one feature that they have, at its one level."""

    def ask(self, *updates: FeatureUpdateKey, version: int = 2, **fields: Any) -> UpdateFeaturesResponse:
        """Ask a node that is not the controller."""
        request = UpdateFeaturesRequest(feature_updates=updates, timeout_ms=5000, **fields)
        answer: UpdateFeaturesResponse = self.cluster.ask(self.cluster.others[0], request, version)
        return answer

    def test_every_broker_says_what_it_knows(self) -> None:
        brokers = self.cluster.controller.broker.metadata.image.brokers.values()
        self.assertEqual([broker.features for broker in brokers], [SUPPORTED] * 3)

    def test_as_it_is(self) -> None:
        """It is no error to ask for what is; each feature has a result of its own up to version 1."""
        index = self.cluster.controller.broker.metadata.image.index
        for version in (0, 1, 2):
            answer = self.ask(FeatureUpdateKey(feature=ELR, max_version_level=1), version=version)
            self.assertEqual((answer.error_code, answer.error_message), (ErrorCode.NONE, None))
            results = [(one.feature, one.error_code) for one in answer.results]
            self.assertEqual(results, [(ELR, ErrorCode.NONE)] if version < 2 else [])
        self.assertEqual(self.cluster.controller.broker.metadata.image.features, {})
        self.assertGreaterEqual(self.cluster.controller.broker.metadata.image.index, index)

    def test_down(self) -> None:
        """The level is below what this release can do without; version 0 asks for it in its own way."""
        down = FeatureUpdateKey(feature=ELR, max_version_level=0, upgrade_type=SAFE)
        for answer in (
            self.ask(down),
            self.ask(down, version=1, validate_only=True),
            self.ask(FeatureUpdateKey(feature=ELR, max_version_level=0, allow_downgrade=True), version=0),
        ):
            self.assertEqual((answer.error_code, list(answer.results)), (ErrorCode.INVALID_UPDATE_VERSION, []))
            assert answer.error_message is not None
            self.assertIn("levels 1 to 1 only", answer.error_message)
        plain = self.ask(FeatureUpdateKey(feature=ELR, max_version_level=0), version=0)
        assert plain.error_message is not None
        self.assertIn("as a downgrade", plain.error_message)

    def test_refused(self) -> None:
        unknown = self.ask(FeatureUpdateKey(feature="metadata.version", max_version_level=20))
        self.assertEqual(unknown.error_code, ErrorCode.INVALID_UPDATE_VERSION)
        self.assertEqual(self.ask().error_code, ErrorCode.INVALID_REQUEST)

    def test_what_cannot_be_made(self) -> None:
        """Where it is the cluster's trouble and not the request's, the error of this API says so."""
        refusal = Refused(ErrorCode.KAFKA_STORAGE_ERROR, "there is no space")
        answer = not_updated(UpdateFeaturesRequest(), refusal)
        said = answer.error_code, answer.error_message
        self.assertEqual(said, (ErrorCode.FEATURE_UPDATE_FAILED, "there is no space"))
        late = not_updated(UpdateFeaturesRequest(), Refused(ErrorCode.REQUEST_TIMED_OUT))
        self.assertEqual((late.error_code, late.error_message), (ErrorCode.REQUEST_TIMED_OUT, None))

    def test_the_epoch_is_the_index(self) -> None:
        request = ApiVersionsRequest(client_software_name="a", client_software_version="1")
        for node in self.cluster.nodes.values():
            answer = self.cluster.ask(node, request, 3)
            self.assertEqual(answer.finalized_features_epoch, node.broker.metadata.image.index)
