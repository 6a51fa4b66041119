"""At which levels the cluster runs what it is able to do."""

from __future__ import annotations

from attrs import evolve

from streamline.cluster.commands import ChangeFeatures, FeatureLevel, RegisterBroker, SupportedFeature
from streamline.cluster.features import SUPPORTED, Direction, FeatureUpdate, Levels, finalized, update_features
from streamline.errors import ErrorCode
from tests.cluster.cluster_case import ClusterCase

KNOWN: Levels = {"f": (0, 3), "g": (1, 2)}
UP, DOWN, UNSAFE = Direction.UPGRADE, Direction.SAFE_DOWNGRADE, Direction.UNSAFE_DOWNGRADE


class UpdatingTests(ClusterCase):
    """A level is had where everybody knows it, and falls where that was asked for."""

    def setUp(self) -> None:
        """Four brokers that know what the controller knows."""
        super().setUp()
        for node in self.image.brokers:
            self.broker(node, features=KNOWN)

    def update(self, *updates: FeatureUpdate) -> None:
        """Change levels."""
        self.do(update_features(self.image, updates, KNOWN))

    def levels(self) -> dict[str, int]:
        """Return what the cluster runs."""
        return finalized(self.image, KNOWN)

    def not_had(self, *updates: FeatureUpdate, code: ErrorCode = ErrorCode.INVALID_UPDATE_VERSION) -> str:
        """Expect a refusal, and return why."""
        before = self.image
        refusal = self.refused(code, update_features, self.image, updates, KNOWN)
        self.assertIs(self.image, before)
        return refusal.message

    def test_what_is_always_on(self) -> None:
        """It runs at its lowest level without having been agreed on."""
        self.assertEqual(self.levels(), {"g": 1})
        self.assertEqual(finalized(self.image), {"eligible.leader.replicas.version": 1})
        self.assertIn("f cannot be at level 4", self.not_had(FeatureUpdate("f", 4, UP)))
        self.assertIn("knows levels 1 to 2 only", self.not_had(FeatureUpdate("g", 0, DOWN)))

    def test_up(self) -> None:
        self.update(FeatureUpdate("f", 2, UP), FeatureUpdate("g", 2, UP))
        self.assertEqual(self.levels(), {"f": 2, "g": 2})
        self.assertEqual(self.image.features, {"f": 2, "g": 2})

    def test_down(self) -> None:
        """Safely or not; to 0 it is off."""
        self.update(FeatureUpdate("f", 3, UP))
        self.assertIn("as a downgrade", self.not_had(FeatureUpdate("f", 2, UP)))
        self.update(FeatureUpdate("f", 2, DOWN))
        self.assertEqual(self.levels()["f"], 2)
        self.assertIn("does not go above", self.not_had(FeatureUpdate("f", 3, UNSAFE)))
        self.update(FeatureUpdate("f", 0, UNSAFE))
        self.assertEqual(self.levels(), {"g": 1})

    def test_as_it_is(self) -> None:
        """There is nothing to agree on then, whatever it is called."""
        self.update(FeatureUpdate("f", 1, UP))
        for direction in Direction:
            updates = [FeatureUpdate("f", 1, direction), FeatureUpdate("g", 1, direction)]
            self.assertEqual(update_features(self.image, updates, KNOWN), [])

    def test_all_or_nothing(self) -> None:
        self.not_had(FeatureUpdate("f", 2, UP), FeatureUpdate("g", 3, UP))

    def test_nobody_knows_it(self) -> None:
        self.assertIn("this controller does not know", self.not_had(FeatureUpdate("metadata.version", 1, UP)))

    def test_a_broker_does_not_know_it(self) -> None:
        """Also one that is fenced: it will be back."""
        self.broker(3, features={"f": (0, 1)}, fenced=True)
        self.assertIn("broker 3 knows levels 0 to 1", self.not_had(FeatureUpdate("f", 2, UP)))
        self.update(FeatureUpdate("f", 1, UP))

    def test_what_makes_no_sense(self) -> None:
        self.not_had(FeatureUpdate("f", -1, UP))
        for direction in (0, 4, -1):
            self.assertIn("type of upgrade", self.not_had(FeatureUpdate("f", 1, direction)))
        self.not_had(code=ErrorCode.INVALID_REQUEST)
        self.not_had(FeatureUpdate("", 1, UP), code=ErrorCode.INVALID_REQUEST)
        self.not_had(FeatureUpdate("f", 1, UP), FeatureUpdate("f", 2, UP), code=ErrorCode.INVALID_REQUEST)


class LateTests(UpdatingTests):
    """What was decided on is compared with the brokers that there are when it is applied."""

    def test_a_broker_came(self) -> None:
        commands = update_features(self.image, [FeatureUpdate("f", 2, UP)], KNOWN)
        self.do([RegisterBroker(node_id=5, host="h", port=5, fenced=True)])
        self.refused(ErrorCode.INVALID_UPDATE_VERSION, self.do, commands)

    def test_a_level_came(self) -> None:
        known = [SupportedFeature(name="f", lowest=0, highest=1)]
        command = RegisterBroker(node_id=5, host="h", port=5, fenced=True, features=known)
        self.do([ChangeFeatures(features=[FeatureLevel(name="f", level=2)])])
        self.refused(ErrorCode.INVALID_UPDATE_VERSION, self.do, [command])
        self.image = evolve(self.image, features={"f": 1})
        self.do([command])


class SupportTests(ClusterCase):
    """What this release says of itself."""

    def test_levels(self) -> None:
        for name, (lowest, highest) in SUPPORTED.items():
            self.assertTrue(0 <= lowest <= highest and highest > 0, name)
