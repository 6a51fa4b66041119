"""What a node says of how far its logs go."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.recovery import LogEnd
from streamline.errors import ErrorCode, Refused
from streamline.model import NO_EPOCH
from streamline.services.log_info import ReplicaLogs, end_of
from streamline.services.replica import Replica
from streamline.wire.messages.log_info import GetReplicaLogInfoRequest, LogInfoTopic, PartitionLogInfo
from tests.broker import Broker, batch_of

BROKER_EPOCH = 12
STRANGE_ID = b"s" * 16


class LogInfoCase(SynchronousTestCase):
    """A node with a topic t, in which there are two records."""

    def setUp(self) -> None:
        """Write them."""
        self.broker = Broker().start()
        self.broker.create("t")
        self.broker.produce("t", batch_of(b"v", b"w"))
        services = self.broker.node.broker
        self.topic_id = services.metadata.image.topics["t"].topic_id
        self.logs = ReplicaLogs(services.metadata, services.replicas, lambda: BROKER_EPOCH)

    @property
    def copy(self) -> Replica:
        """The copy of its partition."""
        return self.broker.node.broker.replicas.leading("t", 0)


class DescribeTests(LogInfoCase):
    """What is answered."""

    def ask(self, topic_id: bytes, index: int) -> PartitionLogInfo:
        """Ask for one partition."""
        wanted = [LogInfoTopic(topic_id=topic_id, partitions=[index])]
        answer = self.logs.describe(GetReplicaLogInfoRequest(broker_id=1, topic_partitions=wanted))
        (topic,) = answer.topic_partition_log_info_list
        (info,) = topic.partition_log_info
        self.assertEqual((answer.broker_epoch, topic.topic_id, info.partition), (BROKER_EPOCH, topic_id, index))
        return info

    def test_in_order(self) -> None:
        info = self.ask(self.topic_id, 0)
        self.assertEqual((info.error_code, info.log_end_offset), (ErrorCode.NONE, 2))
        epoch = self.copy.state.leader_epoch
        self.assertEqual((info.last_written_leader_epoch, info.current_leader_epoch), (epoch, epoch))

    def test_not_here(self) -> None:
        for key in ((self.topic_id, 7), (STRANGE_ID, 0)):
            self.assertEqual(self.ask(*key).error_code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)

    def test_out_of_order(self) -> None:
        """What it has may be less than it had, or be mended: nothing is said of it."""
        self.copy.offline = Refused(ErrorCode.KAFKA_STORAGE_ERROR)
        info = self.ask(self.topic_id, 0)
        self.assertEqual((info.error_code, info.log_end_offset), (ErrorCode.KAFKA_STORAGE_ERROR, -1))


class EndTests(LogInfoCase):
    """Where a log ends."""

    def test_last_record(self) -> None:
        """An epoch in which nothing was written is none of the log's."""
        copy = self.copy
        copy.epochs.assign(copy.epochs.latest + 3, copy.log.end_offset)
        self.assertEqual(end_of(copy), LogEnd(copy.epochs.latest - 3, 2))

    def test_nothing_is_left(self) -> None:
        """The records of its last epoch were there, and were committed, or they could not have been deleted."""
        copy = self.copy
        epoch = copy.epochs.latest
        copy.advance_start(2)
        self.assertEqual((end_of(copy), epoch > NO_EPOCH), (LogEnd(epoch, 2), True))
