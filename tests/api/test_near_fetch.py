"""Consumers that say in which rack they are: whom they are sent to, and what a follower gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve
from zope.interface import implementer

from streamline.assembly import Node
from streamline.errors import ErrorCode
from streamline.interfaces import IReplicaSelector
from streamline.model import NO_LEADER
from streamline.replication.selecting import LeaderOnly
from streamline.wire.messages.fetch import FetchResponse, PartitionData
from tests.api.replication_case import ReplicationCase
from tests.broker import Client, fetch_request, joined

VERSION = 12


@implementer(IReplicaSelector)
class Astray:
    """A plugin that sends everybody to a node that is not there."""

    reads_followers = True

    def select(self, leader: int, replicas: Mapping[int, str | None], client_rack: str | None) -> int:
        """Return it."""
        return 77


class NearFetchCase(ReplicationCase):
    """Node n is in rack rn; three records are in every log."""

    def setUp(self) -> None:
        """Produce them."""
        super().setUp()
        self.produce(3)
        self.cluster.wait(1.0)
        self.lead = self.leader()
        self.near = next(node for node in self.cluster.nodes.values() if node is not self.lead)
        self.rack = self.near.config.rack or ""

    def ask_for(self, node: Node, offset: int = 0, *, version: int = VERSION, **more: Any) -> PartitionData:
        """Have a consumer in the rack of the follower ask a node."""
        request = fetch_request("t", offset, **({"rack_id": self.rack} | more))
        answer: FetchResponse = self.cluster.ask(node, request, version)
        self.assertEqual(answer.error_code, ErrorCode.NONE)
        data: PartitionData = answer.responses[0].partitions[0]
        return data

    def held_back(self, offset: int) -> None:
        """Have the follower know less to be committed than there is."""
        copy: Any = self.copies()[self.near.config.node_id]
        copy._following.high_watermark = offset


class LeaderTests(NearFetchCase):
    """At the leader."""

    def test_sent_to_its_rack(self) -> None:
        data = self.ask_for(self.lead)
        self.assertEqual(data.error_code, ErrorCode.NONE)
        self.assertEqual([data.preferred_read_replica, joined(data)], [self.near.config.node_id, b""])
        self.assertEqual((data.high_watermark, data.log_start_offset), (3, 0))

    def test_at_once(self) -> None:
        """Also where it would have waited for records."""
        client = Client(self.lead)
        client.send(fetch_request("t", 3, rack_id=self.rack, max_wait_ms=60_000, min_bytes=1), VERSION)
        self.assertEqual(len(client.answers()), 1)

    def test_served(self) -> None:
        """Who is in the leader's rack, in one without a replica, or in none."""
        for rack in (self.lead.config.rack, "elsewhere", ""):
            data = self.ask_for(self.lead, rack_id=rack)
            self.assertEqual([data.preferred_read_replica, bool(joined(data))], [NO_LEADER, True])

    def test_before_racks(self) -> None:
        """Versions before 11 cannot say one, nor be sent elsewhere."""
        data = self.ask_for(self.lead, version=10)
        self.assertEqual([data.preferred_read_replica, bool(joined(data))], [NO_LEADER, True])

    def test_out_of_range(self) -> None:
        """Nobody is sent elsewhere with that."""
        data = self.ask_for(self.lead, 9)
        self.assertEqual([data.error_code, data.preferred_read_replica], [ErrorCode.OFFSET_OUT_OF_RANGE, NO_LEADER])

    def test_only_to_those_in_sync(self) -> None:
        copy = self.copies()[self.node_id()]
        copy.state = evolve(copy.state, isr=(self.node_id(),))
        data = self.ask_for(self.lead)
        self.assertEqual([data.preferred_read_replica, bool(joined(data))], [NO_LEADER, True])

    def test_in_a_session(self) -> None:
        """It is news there, too."""
        client = Client(self.lead)
        client.send(fetch_request("t", 3, session_epoch=0), VERSION)
        ((_, first),) = client.answers()
        again = fetch_request("t", 3, session_id=first.session_id, session_epoch=1, rack_id=self.rack)
        client.send(again, VERSION)
        ((_, second),) = client.answers()
        self.assertEqual(second.responses[0].partitions[0].preferred_read_replica, self.near.config.node_id)


class FollowerTests(NearFetchCase):
    """At the follower in the consumer's rack."""

    def test_served(self) -> None:
        data = self.ask_for(self.near)
        self.assertEqual([data.error_code, data.high_watermark], [ErrorCode.NONE, 3])
        self.assertEqual(joined(data), self.log_of(self.copies()[self.near.config.node_id]))

    def test_only_what_is_committed(self) -> None:
        """As far as it knows (KR10): beyond that it is not out of range."""
        self.held_back(1)
        size = len(joined(self.ask_for(self.near, 0)))
        self.assertEqual(size, len(self.log_of(self.copies()[self.near.config.node_id])) // 3)
        for offset in (2, 3, 99):
            data = self.ask_for(self.near, offset, last_epoch=5)
            self.assertEqual(data.error_code, ErrorCode.OFFSET_NOT_AVAILABLE)
        self.assertEqual(self.ask_for(self.near, 1).error_code, ErrorCode.NONE)

    def test_before_its_start(self) -> None:
        self.copies()[self.near.config.node_id].log.advance_start(2)
        self.assertEqual(self.ask_for(self.near, 1).error_code, ErrorCode.OFFSET_OUT_OF_RANGE)

    def test_waits(self) -> None:
        """Until it knows of something new to be committed."""
        client = Client(self.near)
        client.send(fetch_request("t", 3, rack_id=self.rack, max_wait_ms=60_000, min_bytes=1), VERSION)
        self.cluster.wait(1.0)
        self.assertEqual(client.answers(), [])
        self.produce()
        self.cluster.wait(0.2)
        ((_, answer),) = client.answers()
        self.assertTrue(joined(answer.responses[0].partitions[0]))

    def test_epochs(self) -> None:
        """KR5 holds here as well."""
        for epoch, code in ((9, ErrorCode.UNKNOWN_LEADER_EPOCH), (0, ErrorCode.NONE)):
            self.assertEqual(self.ask_for(self.near, epoch=epoch).error_code, code)

    def test_who_names_no_rack(self) -> None:
        """It came here by old metadata: the leader would serve it better."""
        for version, rack in ((VERSION, ""), (10, self.rack)):
            data = self.ask_for(self.near, version=version, rack_id=rack)
            self.assertEqual(data.error_code, ErrorCode.NOT_LEADER_OR_FOLLOWER)

    def test_switched_off(self) -> None:
        """With C{--reads leader} nobody is sent elsewhere, and followers serve nobody."""
        for node in (self.lead, self.near):
            node.factory.broker = evolve(node.broker, selector=LeaderOnly())
        self.assertEqual(self.ask_for(self.lead).preferred_read_replica, NO_LEADER)
        self.assertEqual(self.ask_for(self.near).error_code, ErrorCode.NOT_LEADER_OR_FOLLOWER)

    def test_nobody_is_sent_to_who_is_no_replica(self) -> None:
        """Whatever a plugin says, consumers are sent to replicas in sync, or stay."""
        self.lead.factory.broker = evolve(self.lead.broker, selector=Astray())
        self.assertEqual(self.ask_for(self.lead).preferred_read_replica, NO_LEADER)
