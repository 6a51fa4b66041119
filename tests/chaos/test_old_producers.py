"""Producers that are too old to be told who leads, at nodes that do not, while the leader is killed."""

from __future__ import annotations

import os

import pytest
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.testing import Cluster
from streamline.testing.embedded.conversation import Conversation
from streamline.wire.messages.produce import PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData
from streamline.wire.messages.producer_ids import InitProducerIdRequest, InitProducerIdResponse
from streamline.wire.records import Record, build_batch
from tests.testing.cluster_case import create, values_of

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

VERSION = 7
"""What kafkajs and aiokafka speak."""
TOPIC = "orders"
RECORDS = 300
TRIES = 2000
PASSING = (
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.REQUEST_TIMED_OUT,
    ErrorCode.NOT_ENOUGH_REPLICAS,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
)
TIMEOUT_S = 30.0


class OldProducer:
    """
    Sends everything to one node, and again what it was not told of.

    @ivar acked: what it was told is kept.
    @ivar retries: how often it had to send again.
    """

    def __init__(self, cluster: Cluster, talk: Conversation, name: str) -> None:
        self.acked: list[bytes] = []
        self.retries = 0
        self._cluster = cluster
        self._talk = talk
        self._name = name
        request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
        answer = talk.ask(request, InitProducerIdResponse, 1)
        assert answer.error_code == ErrorCode.NONE, answer.error_code
        self._producer = answer.producer_id, answer.producer_epoch

    def send(self) -> None:
        """Send the next record until it is acknowledged."""
        number = len(self.acked)
        value = b"%s %d" % (self._name.encode(), number)
        producer_id, epoch = self._producer
        batch = build_batch(
            [Record(value)], producer_id=producer_id, producer_epoch=epoch, base_sequence=number
        )
        data = TopicProduceData(name=TOPIC, partition_data=[PartitionProduceData(index=0, records=batch)])
        request = ProduceRequest(acks=-1, timeout_ms=2000, topic_data=[data])
        for _ in range(TRIES):
            (answer,) = self._talk.ask(request, ProduceResponse, VERSION).responses[0].partition_responses
            if answer.error_code == ErrorCode.NONE:
                self.acked.append(value)
                return
            assert answer.error_code in PASSING, answer.error_code
            self.retries += 1
            self._cluster.leader(TOPIC)  # which waits for one
        raise AssertionError(f"{value!r} was never acknowledged: {answer.error_code}")


class OldProducerTests(SynchronousTestCase):
    """What comes to any node is kept, once, in order."""

    def setUp(self) -> None:
        """Have modules compiled once, as where they are installed."""
        self.patch(os, "environ", {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"})

    def test_leader_is_killed(self) -> None:
        """Nothing that was acknowledged is lost, and nothing is there twice, though all of it went another way."""
        with Cluster(3, processes=True, consensus="raft:tick_ms=25") as cluster:
            create(cluster, TOPIC, replicas=3)
            cluster.wait_isr(TOPIC)
            leader = cluster.leader(TOPIC)
            others = [node for node in cluster.nodes if node.node_id != leader]
            talks = [Conversation(node.address, TIMEOUT_S) for node in others]
            named = zip(others, talks, strict=True)
            producers = [OldProducer(cluster, talk, f"p{node.node_id}") for node, talk in named]
            for at in range(RECORDS):
                if at == RECORDS // 3:
                    self.assertEqual([producer.retries for producer in producers], [0, 0])
                    cluster.kill(leader)
                for producer in producers:
                    producer.send()
            for talk in talks:
                talk.__exit__(None, None, None)
            found = values_of(cluster, TOPIC)
        for producer in producers:
            own = [value for value in found if value.split()[0] == producer.acked[0].split()[0]]
            self.assertEqual(own, producer.acked)
