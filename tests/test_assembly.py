"""A node as a whole: which room opens when, and what is left when one does not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from streamline.assembly import build
from streamline.cluster.commands import CreateTopic, PartitionPlacement, RegisterBroker
from streamline.errors import StartRefused
from streamline.services.commandlog import Entry, encode_entry
from tests.broker import DATA, Broker, batch_of

METADATA = f"{DATA}/metadata"


class NodeCase(SynchronousTestCase):
    """A machine on which nodes run."""

    consensus = "raft"

    def setUp(self) -> None:
        """Make it."""
        self.broker = Broker(storage="segments", consensus=self.consensus)

    def refused(self, broker: Broker | None = None) -> str:
        """Start a node that cannot; return the sentence, having seen that nothing of the node is left."""
        broker = broker or self.broker
        outcome: list[Any] = []
        broker.begin().addBoth(outcome.append)
        broker.until(lambda: bool(outcome))
        broker.wait(1)
        failure = outcome[0]
        assert isinstance(failure, Failure), "it came up"
        failure.trap(StartRefused)
        self.assertEqual(broker.process.reactor.getDelayedCalls(), [], "no timer is left")
        self.assertEqual(broker.machine.ports, {}, "no port is left")
        self.assertEqual(broker.process.disk.locks, {}, "the data directory is free again")
        self.assertFalse(broker.node.factory.is_serving)
        broker.crash()
        return failure.getErrorMessage()

    def disk(self) -> Any:
        """Return the disk of a machine on which nothing runs."""
        return self.broker.machine.start().host.disk

    def change(self, path: str, data: bytes | None) -> None:
        """Put a file in place, or remove one, while nothing runs."""
        disk = self.disk()
        if data is None:
            disk.remove(path)
        else:
            disk.replace_file(path, data)
        self.broker.crash()

    def run_once(self) -> None:
        """Let a node found its cluster, make a topic with a record, and stop."""
        self.broker.start()
        self.broker.create("t")
        self.broker.produce("t", batch_of(b"v"))
        self.broker.stop()


class OrderTests(NodeCase):
    """Up one after another, down in the opposite order."""

    def test_up_and_down(self) -> None:
        events: list[str] = []
        node = build(self.broker.config, self.broker.machine.start().host)
        for step in node.services:
            name = type(step).__name__
            for method, sign in (("startService", "+"), ("stopService", "-")):
                original = getattr(step, method)
                setattr(step, method, partial(_noted, events, sign + name, original))
        done: list[Any] = []
        node.startService().addBoth(done.append)
        self.broker.until(lambda: bool(done))
        node.stopService().addBoth(done.append)
        self.broker.until(lambda: len(done) == 2)
        self.assertEqual(done, [None, None])
        up = [event[1:] for event in events if event.startswith("+")]
        down = [event[1:] for event in events if event.startswith("-")]
        self.assertEqual(down, up[::-1])
        rooms = "DataDirectory", "KafkaListener", "Replicas", "GroupCoordinator", "Housekeeping", "Watchman", "Serving"
        self.assertEqual([room for room in up if room in rooms], list(rooms))

    def test_bound_before_anything_is_recovered(self) -> None:
        """A taken port is known while there is a terminal to say so to; what comes meanwhile is not served."""
        self.run_once()
        self.broker.machine.platter.faults.thread_mean_s = 1.0
        self.broker.begin()
        self.assertEqual(list(self.broker.machine.ports), [9092])
        self.assertFalse(self.broker.node.factory.is_serving)

    def test_stopped_while_it_starts(self) -> None:
        self.run_once()
        self.broker.crash()
        starting = self.broker.begin()
        self.broker.wait(0.001)
        done: list[Any] = []
        self.broker.node.stopService().addBoth(done.append)
        self.broker.until(lambda: bool(done))
        self.successResultOf(starting)
        self.assertEqual(done, [None])
        self.assertEqual(self.broker.process.reactor.getDelayedCalls(), [])
        self.broker.crash()
        self.broker.start()
        self.assertEqual(self.broker.fetch("t").high_watermark, 1)

    def test_no_start_twice(self) -> None:
        """Each start registers the node under a new broker epoch, and founds no second cluster."""
        self.broker.start()
        first = self.broker.node.broker.metadata.image
        self.broker.stop()
        self.broker.start()
        second = self.broker.node.broker.metadata.image
        self.assertEqual(second.cluster_id, first.cluster_id)
        self.assertGreater(second.brokers[1].epoch, first.brokers[1].epoch)
        self.assertNotEqual(second.brokers[1].incarnation_id, first.brokers[1].incarnation_id)


class RefusalTests(NodeCase):
    """A start that cannot succeed ends with one sentence, and leaves nothing behind."""

    def test_port_taken(self) -> None:
        self.broker.machine.ports[9092] = object()  # type: ignore[assignment]
        outcome: list[Any] = []
        self.broker.begin().addErrback(outcome.append)
        self.broker.wait(1)
        self.assertIn("cannot listen on", outcome[0].getErrorMessage())
        self.assertEqual(self.broker.process.disk.locks, {})

    def test_data_directory_in_use(self) -> None:
        self.broker.start()
        other = build(self.broker.config, self.broker.process.host)
        failure = self.failureResultOf(other.startService(), StartRefused)
        self.assertIn("in use", failure.getErrorMessage())
        self.assertEqual(self.broker.produce("missing", None).error_code, 3, "the first one goes on")

    def test_data_directory_of_another_node(self) -> None:
        self.run_once()
        other = Broker(storage="segments", node_id=2)
        other.machine = self.broker.machine
        other.simulation = self.broker.simulation
        self.assertIn("belongs to node 1", self.refused(other))

    def test_full(self) -> None:
        self.broker.machine.platter.faults.full = True
        self.assertIn("full", self.refused())

    def test_metadata_lost(self) -> None:
        """It would else found a new cluster, and take all topics for strays."""
        self.run_once()
        for name in self.disk().list_directory(METADATA):
            self.broker.crash()
            self.change(f"{METADATA}/{name}", None)
            self.disk()
        self.broker.crash()
        self.assertIn("is missing", self.refused())

    def test_a_partition_that_is_not_ours_to_lead(self) -> None:
        """A refusal from within the opening of one partition among many ends the start."""
        self.run_once()
        self.broker.start()
        metadata = self.broker.node.broker.metadata
        metadata.propose(RegisterBroker(node_id=2, incarnation_id=bytes(16), host="h", port=1))
        self.broker.wait()
        placed = [PartitionPlacement(index=0, replicas=(1, 2))]
        metadata.propose(CreateTopic(name="both", topic_id=b"\7" * 16, partitions=placed, configs=[]))
        self.broker.wait()
        self.assertEqual(self.broker.produce("both", batch_of(b"v")).error_code, 56)
        self.broker.stop()
        self.assertIn("both-0 has the replicas [1, 2]", self.refused())

    def test_metadata_that_cannot_be_made_durable(self) -> None:
        self.run_once()
        self.broker.machine.platter.faults.failing_syncs = 1
        self.assertIn("metadata", self.refused())

    def test_plugins(self) -> None:
        for option in ("storage", "consensus", "replicator", "acks"):
            nonsense: dict[str, Any] = {option: "nonsense"}
            broker = Broker(**nonsense)
            refusal = self.assertRaises(StartRefused, build, broker.config, broker.machine.start().host)
            self.assertIn("nonsense", str(refusal))


class SingleRefusalTests(NodeCase):
    """The same, of what consensus of one keeps; tests/services/test_raft_files.py has that of Raft."""

    consensus = "single"

    def test_metadata_damaged(self) -> None:
        self.run_once()
        self.change(f"{METADATA}/commands.log", b"nonsense")
        self.assertIn("is damaged", self.refused())

    def test_metadata_of_a_later_release(self) -> None:
        """A command that this release does not know ends the start wherever it stands."""
        self.run_once()
        disk = self.disk()
        data = disk.read_file(f"{METADATA}/commands.log")
        disk.replace_file(f"{METADATA}/commands.log", data + encode_entry(Entry(4, b"\0\x63\0\0")))
        self.broker.crash()
        self.assertIn("of a later release", self.refused())

    def test_metadata_of_another_cluster(self) -> None:
        self.run_once()
        disk = self.disk()
        disk.remove(f"{METADATA}/commands.log")
        self.broker.crash()
        other = Broker(seed=2, storage="segments", consensus="single")
        other.start()
        other.stop()
        data = other.machine.start().host.disk.read_file(f"{METADATA}/commands.log")
        self.change(f"{METADATA}/commands.log", data)
        self.assertIn("belongs to the cluster", self.refused())

    def test_a_founding_that_cannot_be_made_durable(self) -> None:
        """What the metadata says to the node itself is a sentence too."""
        outcome: list[Any] = []
        self.broker.begin().addErrback(outcome.append)
        self.broker.machine.platter.faults.failing_syncs = 1
        self.broker.until(lambda: bool(outcome))
        outcome[0].trap(StartRefused)
        self.assertIn("cannot be founded", outcome[0].getErrorMessage())


class StrayTests(NodeCase):
    """KR30: what belongs to no topic that is known is left alone."""

    def test_left_alone(self) -> None:
        self.run_once()
        disk = self.disk()
        disk.make_directories(f"{DATA}/stray-0")
        disk.replace_file(f"{DATA}/stray-0/partition.metadata", b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\n")
        self.broker.crash()
        self.broker.start()
        self.broker.stop()
        self.assertIn("stray-0", self.disk().list_directory(DATA))

    def test_a_partition_that_cannot_be_opened(self) -> None:
        """It alone is out of order."""
        self.run_once()
        self.broker.start()
        self.broker.create("u")
        self.broker.produce("u", batch_of(b"v"))
        self.broker.crash()
        disk = self.disk()
        disk.remove_tree(f"{DATA}/t-0")
        disk.replace_file(f"{DATA}/t-0", b"a file where the directory should be")
        self.broker.crash()
        self.broker.start()
        self.assertEqual(self.broker.fetch("t").error_code, 56)
        self.assertEqual(self.broker.produce("t", batch_of(b"v")).error_code, 56)
        self.assertEqual(self.broker.fetch("u").high_watermark, 1)


def _noted(events: list[str], note: str, step: Callable[[], Any]) -> Any:
    events.append(note)
    return step()
