"""Three nodes lose power together, and nobody does anything about it."""

from __future__ import annotations

from streamline.errors import ErrorCode
from streamline.model import NO_LEADER
from streamline.services.recovering import AGAIN_S
from streamline.wire.messages.configs import (
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterableConfig,
    IncrementalAlterConfigsRequestAlterConfigsResource,
)
from tests.api.replication_case import FAIL_OVER_S, ReplicationCase

TOPIC = 2
LONG_S = 20.0


class PowerCutCase(ReplicationCase):
    """A topic that is in use when the lights go out."""

    strategy = "balanced"
    patience_ms = 300_000

    def setUp(self) -> None:
        """Begin with a few records everywhere."""
        self.settings = {
            "unclean_recovery_strategy": self.strategy, "unclean_recovery_timeout_ms": self.patience_ms,
        }  # fmt: skip
        super().setUp()
        self.in_sync(1, 2, 3)

    def set_topic(self, name: str, value: str) -> None:
        """Change a setting of the topic."""
        change = IncrementalAlterConfigsRequestAlterableConfig(name=name, config_operation=0, value=value)
        resource = IncrementalAlterConfigsRequestAlterConfigsResource(
            resource_type=TOPIC, resource_name="t", configs=[change]
        )
        answer = self.cluster.ask(self.cluster.controller, IncrementalAlterConfigsRequest(resources=[resource]))
        self.assertEqual(answer.responses[0].error_code, ErrorCode.NONE)

    def lights_out(self, *back: int) -> None:
        """Cut the power of all, and start some of them again."""
        self.last_leader, self.last_epoch = self.node_id(), self.state().leader_epoch
        for node_id in list(self.cluster.nodes):
            self.cluster.kill(node_id, power=True)
        for node_id in back:
            self.cluster.start(node_id)

    def sync(self, node_id: int) -> None:
        """Have a copy's records on its disk."""
        done: list[int] = []
        self.copies()[node_id].log.sync().addCallback(done.append)
        self.cluster.until(lambda: bool(done))

    def led_again(self) -> None:
        """Wait until somebody leads, and all are in sync."""
        self.cluster.until(lambda: self.state().leader_epoch > self.last_epoch + 1, FAIL_OVER_S)
        self.cluster.until(lambda: self.state().leader != NO_LEADER, FAIL_OVER_S)
        self.cluster.all_serve()
        self.in_sync(1, 2, 3)
        self.cluster.until(lambda: all(len(copy.state.isr) == 3 for copy in self.copies().values()))

    def nobody_leads(self) -> None:
        """Expect that to last."""
        self.cluster.until(lambda: self.state().leader == NO_LEADER, FAIL_OVER_S)
        self.cluster.wait(LONG_S)
        self.assertEqual(self.state().leader, NO_LEADER)


class PowerCutTests(PowerCutCase):
    """The best of those that had everything leads, once all of them are back."""

    def test_all_come_back(self) -> None:
        self.produce(5)
        self.lights_out(1, 2, 3)
        self.led_again()
        self.acked.clear()
        self.produce(3)
        self.all_the_same()
        self.nothing_is_lost()
        self.assertEqual(sum(node.recovering.recovered for node in self.cluster.nodes.values()), 1)

    def test_the_best_leads(self) -> None:
        """Whoever has it on disk: what one of them has kept is not lost."""
        for best in (2, 3, 1):
            self.produce(4)
            self.sync(best)
            self.lights_out(1, 2, 3)
            self.led_again()
            self.produce()
            self.all_the_same()
            self.nothing_is_lost()

    def test_synced_before_it_is_acknowledged(self) -> None:
        self.set_topic("flush.messages", "1")
        self.cluster.wait(1.0)
        self.produce(5)
        self.lights_out(3, 1, 2)
        self.led_again()
        self.produce(2)
        self.all_the_same()
        self.nothing_is_lost()

    def test_one_is_missing(self) -> None:
        """It may have what the others have lost, and it has."""
        self.produce(5)
        self.sync(3)
        self.lights_out(1, 2)
        self.nobody_leads()
        self.cluster.start(3)
        self.led_again()
        self.produce()
        self.all_the_same()
        self.nothing_is_lost()

    def test_one_goes_again(self) -> None:
        """It had come back, so it is not eligible any more, and what it has is not known yet."""
        self.set_topic("unclean.recovery.strategy", "none")
        self.produce(5)
        self.sync(3)
        self.lights_out(1, 2, 3)
        self.nobody_leads()
        self.cluster.all_serve()
        self.cluster.kill(3)
        self.set_topic("unclean.recovery.strategy", "balanced")
        self.nobody_leads()
        self.assertEqual((self.state().elr, sorted(self.state().last_known_elr)), ((), [1, 2, 3]))
        self.cluster.start(3)
        self.led_again()
        self.produce()
        self.all_the_same()
        self.nothing_is_lost()

    def test_another_setting(self) -> None:
        """It counts at once."""
        self.set_topic("unclean.recovery.strategy", "none")
        self.lights_out(1, 2, 3)
        self.nobody_leads()
        self.cluster.all_serve()
        self.set_topic("unclean.recovery.strategy", "balanced")
        self.cluster.until(lambda: self.state().leader != NO_LEADER, AGAIN_S)


class FallenBehindTests(PowerCutCase):
    """A replica that had left the ISR before is waited for, but not for ever."""

    patience_ms = 30_000

    def fall_behind(self) -> None:
        """Have node 3 out of the ISR, and something that it lacks."""
        self.produce(3)
        self.cluster.isolate(3)
        self.in_sync(1, 2)
        self.produce(3)
        self.cluster.kill(3)

    def test_for_a_time(self) -> None:
        self.fall_behind()
        for node_id in (1, 2):
            self.sync(node_id)
        self.cluster.heal()
        self.lights_out(1, 2)
        self.cluster.until(lambda: self.state().leader == NO_LEADER, FAIL_OVER_S)
        self.cluster.wait(15.0)
        self.assertEqual(self.state().leader, NO_LEADER)
        self.cluster.until(lambda: self.state().leader != NO_LEADER, 20.0)
        self.cluster.start(3)
        self.led_again()
        self.produce()
        self.all_the_same()
        self.nothing_is_lost()

    def test_it_is_back(self) -> None:
        self.fall_behind()
        self.cluster.heal()
        self.lights_out(1, 2, 3)
        self.led_again()
        self.acked.clear()
        self.produce(2)
        self.all_the_same()


class StrategyTests(PowerCutCase):
    """A cluster that was told to leave it to a person does so."""

    strategy = "none"

    def test_none(self) -> None:
        self.produce(3)
        self.lights_out(1, 2, 3)
        self.nobody_leads()
        self.cluster.all_serve()
        self.nobody_leads()
