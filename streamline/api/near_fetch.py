"""
Fetches of consumers that say in which rack they are (KIP-392).

The leader tells them of a replica in sync in their own rack, and gives them no records; from then on they ask that
replica, which gives them what it knows to be committed.  A consumer that names no rack is served by the leader alone:
a follower that it comes to is the leader of its metadata, which are old.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from streamline.api.call import Call
from streamline.api.fetching import Read, Reading
from streamline.model import NO_LEADER, LogSlice
from streamline.replication.sessions import Wanted
from streamline.services.partition import Partition
from streamline.wire.messages.fetch import FetchRequest

_NOTHING = LogSlice()


class NearReading(Reading):
    """A fetch that says where it comes from, on its way to an answer."""

    def __init__(self, call: Call, wanted: Sequence[Wanted], request: FetchRequest) -> None:
        super().__init__(call, wanted, request.min_bytes, request.max_bytes, request.max_wait_ms / 1000)
        self._rack = request.rack_id

    def _find(self, name: str, index: int) -> Partition:
        return self._call.broker.replicas.serving(name, index)

    def _is_enough(self, reads: list[Read]) -> bool:
        return super()._is_enough(reads) or any(read.preferred != NO_LEADER for read in reads)

    def _read_one(self, partition: Partition, read: Read, max_bytes: int) -> LogSlice | Deferred[LogSlice]:
        wanted = read.wanted
        if partition.is_led:
            nearest = self._nearest(partition)
            if nearest == self._call.broker.config.node_id:
                return super()._read_one(partition, read, max_bytes)
            partition.check_epoch(wanted.current_leader_epoch)
            if not self._is_parted(partition, read):
                partition.check_leader_read(wanted.fetch_offset)
                read.preferred = nearest
            return _NOTHING
        partition.check_epoch(wanted.current_leader_epoch)
        # Before epochs are compared: of what a follower does not have yet it does not know the epochs either.
        partition.check_follower_read(wanted.fetch_offset)
        return super()._read_one(partition, read, max_bytes)

    def _nearest(self, partition: Partition) -> int:
        brokers, state = self._call.broker.metadata.image.brokers, partition.state
        racks = {
            node_id: broker.rack
            for node_id in state.isr
            if (broker := brokers.get(node_id)) is not None and broker.is_active
        }
        chosen = self._call.broker.selector.select(state.leader, racks, self._rack)
        return chosen if chosen in racks else state.leader
