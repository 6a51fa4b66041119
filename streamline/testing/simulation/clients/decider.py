"""
Somebody who asks the controller for what it decides beside making and deleting topics: partitions, settings, leaders,
moves, voters.

What it is told was done has to be seen afterwards.
"""

from __future__ import annotations

from typing import Any

from streamline.interfaces import Host
from streamline.model import ZERO_UUID, Endpoint
from streamline.testing.history import History
from streamline.testing.simulation.clients.connection import Gone, Line
from streamline.testing.simulation.clients.onlooker import TOPIC_RESOURCE, BadView
from streamline.wire.messages import configs as config
from streamline.wire.messages import reassignment as moves
from streamline.wire.messages.cluster import FeatureUpdateKey, UnregisterBrokerRequest, UpdateFeaturesRequest
from streamline.wire.messages.log_dirs import DescribeLogDirsRequest
from streamline.wire.messages.quorum import (
    AddRaftVoterRequest,
    DescribeQuorumRequest,
    PartitionData,
    RemoveRaftVoterRequest,
    TopicData,
)
from streamline.wire.messages.topics import (
    CreatePartitionsRequest,
    CreatePartitionsTopic,
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from streamline.wire.schema import Message

SETTING = "retention.ms"
PARTITIONS = 4
STRANGER = 99
"""A node that there is not."""
TIMEOUT_MS = 5000
METADATA_TOPIC = "__cluster_metadata"
FEATURE = "eligible.leader.replicas.version"


class Decider:
    """Has things decided about one topic."""

    def __init__(self, host: Host, address: Endpoint, history: History) -> None:
        self._rng = host.rng
        self._line = Line(host, address, "decider", history)

    async def use(self, name: str) -> None:
        """
        Ask for everything once, unless nobody answers.

        @raise BadView: what was done is not there.
        """
        try:
            await self._change_settings(name)
            for request in self._requests(name):
                await self._ask(request)
        except Gone:
            self._line.drop()

    async def _ask(self, request: Message) -> Any:
        return await self._line.ask(request, request.VERSIONS[1])

    async def _change_settings(self, name: str) -> None:
        value = str(self._rng.randrange(3_600_000, 7_200_000))
        entry = config.IncrementalAlterConfigsRequestAlterableConfig(name=SETTING, config_operation=0, value=value)
        resource = config.IncrementalAlterConfigsRequestAlterConfigsResource(
            resource_type=TOPIC_RESOURCE, resource_name=name, configs=[entry]
        )
        changed = await self._ask(config.IncrementalAlterConfigsRequest(resources=[resource]))
        if changed.responses[0].error_code:
            return
        asked = config.DescribeConfigsResource(
            resource_type=TOPIC_RESOURCE, resource_name=name, configuration_keys=[SETTING]
        )
        (shown,) = (await self._ask(config.DescribeConfigsRequest(resources=[asked]))).results
        if not shown.error_code and [one.value for one in shown.configs] != [value]:
            raise BadView(f"{SETTING} of {name} was set to {value}, and is {shown.configs}")

    def _requests(self, name: str) -> list[Message]:
        whole = config.AlterConfigsResource(
            resource_type=TOPIC_RESOURCE,
            resource_name=name,
            configs=[config.AlterableConfig(name=SETTING, value="3600000")],
        )
        first = [moves.ReassignablePartition(partition_index=0, replicas=[1])]
        return [
            config.AlterConfigsRequest(resources=[whole]),
            CreatePartitionsRequest(
                topics=[CreatePartitionsTopic(name=name, count=PARTITIONS, assignments=None)], timeout_ms=TIMEOUT_MS
            ),
            moves.ElectLeadersRequest(topic_partitions=None, timeout_ms=TIMEOUT_MS),
            moves.AlterPartitionReassignmentsRequest(
                topics=[moves.ReassignableTopic(name=name, partitions=first)], timeout_ms=TIMEOUT_MS
            ),
            moves.ListPartitionReassignmentsRequest(topics=None, timeout_ms=TIMEOUT_MS),
            DescribeQuorumRequest(
                topics=[TopicData(topic_name=METADATA_TOPIC, partitions=[PartitionData(partition_index=0)])]
            ),
            UnregisterBrokerRequest(broker_id=STRANGER),
            AddRaftVoterRequest(
                cluster_id=None, timeout_ms=TIMEOUT_MS, voter_id=STRANGER, voter_directory_id=ZERO_UUID, listeners=[]
            ),
            RemoveRaftVoterRequest(cluster_id=None, voter_id=STRANGER, voter_directory_id=ZERO_UUID),
            DeleteRecordsRequest(
                topics=[
                    DeleteRecordsTopic(name=name, partitions=[DeleteRecordsPartition(partition_index=0, offset=-1)])
                ],
                timeout_ms=TIMEOUT_MS,
            ),
            DescribeLogDirsRequest(topics=None),
            UpdateFeaturesRequest(feature_updates=[FeatureUpdateKey(feature=FEATURE, max_version_level=1)]),
        ]
