"""
Every API that this node answers on its Kafka listener, sorted by key.

What is advertised, what is read from the wire and who answers it all derive from
this one table: nothing is advertised that has no handler (the lesson of many a
clone), and a handler that is not listed is not reached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streamline.api import (
    api_versions,
    cluster,
    config_changes,
    configs,
    coordinators,
    epochs,
    features,
    fetch,
    groups,
    list_offsets,
    log_dirs,
    metadata,
    offsets,
    partitions,
    produce,
    producers,
    quorum,
    reassignments,
    records,
    topics,
)
from streamline.api.call import Answer, Call
from streamline.api.forwarding import AtController, Refusal, to_controller
from streamline.values import frozen
from streamline.wire.messages import REQUESTS, RESPONSES
from streamline.wire.schema import Message

Handler = Callable[[Call, Any], Answer]


@frozen
class Api:
    """
    One API as this node speaks it.

    @ivar advertised_from: the lowest version that ApiVersions shows; lower than C{versions} only for Produce.
    @ivar at_controller: for an API that is the controller's (KIP-590), what the controller does; C{handler} is then
        what takes it there, and C{refused} says that it was refused.
    """

    key: int
    handler: Handler
    versions: tuple[int, int]
    advertised_from: int
    at_controller: AtController | None = None
    refused: Refusal | None = None

    @property
    def is_controller_bound(self) -> bool:
        """Whether only the controller can answer it."""
        return self.at_controller is not None

    @property
    def request(self) -> type[Message]:
        """The class of its requests."""
        return REQUESTS[self.key]

    @property
    def response(self) -> type[Message]:
        """The class of its answers."""
        return RESPONSES[self.key]


def _api(key: int, handler: Handler, last: int | None = None, advertised_from: int | None = None) -> Api:
    first, known = REQUESTS[key].VERSIONS
    versions = (first, known if last is None else last)
    return Api(key, handler, versions, first if advertised_from is None else advertised_from)


def _bound(key: int, at_controller: AtController, refused: Refusal, *, changes: bool = True) -> Api:
    """Make the row of an API that is the controller's, wherever it is asked."""
    versions = REQUESTS[key].VERSIONS
    handler = to_controller(key, at_controller, refused, changes=changes)
    return Api(key, handler, versions, versions[0], at_controller, refused)


TABLE: Mapping[int, Api] = {
    api.key: api
    for api in (
        _api(0, produce.produce, advertised_from=0),  # KAFKA-18659: librdkafka < 2.11.1 stops compressing otherwise
        _api(1, fetch.fetch),
        _api(2, list_offsets.list_offsets),
        _api(3, metadata.metadata),
        _api(8, offsets.offset_commit),
        _api(9, offsets.offset_fetch),
        _api(10, coordinators.find_coordinator),
        _api(11, groups.join_group),
        _api(12, groups.heartbeat),
        _api(13, groups.leave_group),
        _api(14, groups.sync_group),
        _api(15, groups.describe_groups),
        _api(16, groups.list_groups),
        _api(18, api_versions.api_versions),
        _bound(19, topics.create_topics, topics.none_created),
        _bound(20, topics.delete_topics, topics.none_deleted),
        _api(21, records.delete_records),
        _api(22, producers.init_producer_id, last=5),  # version 6 is not stable in Kafka 4.3
        _api(23, epochs.offset_for_leader_epoch),
        _api(32, configs.describe_configs),
        _bound(33, config_changes.alter_configs, config_changes.none_altered),
        _api(35, log_dirs.describe_log_dirs),
        _bound(37, partitions.create_partitions, partitions.no_partitions_created),
        _api(42, groups.delete_groups),
        _bound(43, reassignments.elect, reassignments.none_elected),
        _bound(44, config_changes.incremental_alter_configs, config_changes.no_single_altered),
        _bound(45, reassignments.alter_reassignments, reassignments.none_reassigned),
        _bound(46, reassignments.list_reassignments, reassignments.none_listed, changes=False),
        _bound(55, quorum.describe_quorum, quorum.not_described, changes=False),
        _bound(57, features.update, features.not_updated),
        _api(60, cluster.describe_cluster),
        _bound(64, cluster.unregister_broker, cluster.not_unregistered),
        _api(75, metadata.describe_topic_partitions),
        _bound(80, quorum.add_raft_voter, quorum.not_added),
        _bound(81, quorum.remove_raft_voter, quorum.not_removed),
    )
}


_FLEXIBLE = {
    (api.key, version): api.request.FLEXIBLE is not None and version >= api.request.FLEXIBLE
    for api in TABLE.values()
    for version in range(api.versions[0], api.versions[1] + 1)
}


def flexible_of(api_key: int, api_version: int) -> bool | None:
    """Say whether a request that this node answers is flexible, or None where it does not answer it."""
    return _FLEXIBLE.get((api_key, api_version))


api_versions.advertise(TABLE.values())
