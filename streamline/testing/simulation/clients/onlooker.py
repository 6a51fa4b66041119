"""
Somebody who asks about everything and changes nothing: cluster, topics, settings, groups.

What it is told must fit what is known for certain; most of all, settings that a
topic was made with must be those that it has, whatever happened since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from streamline.errors import ErrorCode
from streamline.interfaces import Host
from streamline.model import Endpoint
from streamline.testing.history import History
from streamline.testing.simulation.clients.connection import Line, is_passing
from streamline.testing.simulation.clients.versions import Versions
from streamline.wire.messages.cluster import DescribeClusterRequest
from streamline.wire.messages.configs import DescribeConfigsRequest, DescribeConfigsResource
from streamline.wire.messages.groups import DescribeGroupsRequest, ListGroupsRequest
from streamline.wire.messages.metadata import DescribeTopicPartitionsRequest, TopicRequest
from streamline.wire.schema import Message

TOPIC_RESOURCE = 2
LOOK_EVERY_S = 3.0
STATES = ("Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead")
PASSING_ERRORS = (
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_COORDINATOR,
)


class BadView(AssertionError):
    """The node said what cannot be."""


class Onlooker:
    """
    Looks around, again and again.

    @ivar looks: how often it saw everything.
    """

    def __init__(
        self,
        host: Host,
        address: Endpoint,
        name: str,
        history: History,
        wanted: Mapping[str, Mapping[str, str]],
        groups: list[str],
    ) -> None:
        self.looks = 0
        self._host = host
        self._wanted = wanted
        self._groups = groups
        self._line = Line(host, address, name, history)
        self._versions = Versions(host.rng)

    def start(self) -> None:
        """Begin."""
        Deferred.fromCoroutine(self._run()).addErrback(self._troubled)

    def stop(self) -> None:
        """End."""
        self._line.stop()

    def _troubled(self, failure: Failure) -> None:
        if is_passing(failure) and not self._line.stopped:
            self._line.drop()
            self._line.pause().addCallback(lambda _: self.start())

    async def _run(self) -> None:
        while not self._line.stopped:
            await self.look()
            await self._line.sleep(LOOK_EVERY_S * 2 * self._host.rng.random())

    async def look(self) -> None:
        """
        Look at everything once.

        @raise Gone: there was no answer.
        @raise BadView: an answer is wrong.
        """
        if not self._versions.known:
            await self._versions.learn(self._line)
        await self._look_at_cluster()
        await self._look_at_topics()
        await self._look_at_settings()
        await self._look_at_groups()
        self.looks += 1

    async def _ask(self, request: Message) -> Any:
        return await self._line.ask(request, self._versions.of(type(request)))

    async def _look_at_cluster(self) -> None:
        answer = await self._ask(DescribeClusterRequest())
        _expect(answer.error_code, 0, "DescribeCluster")
        _expect(len(answer.brokers), 1, "brokers")

    async def _look_at_topics(self) -> None:
        names = [TopicRequest(name=name) for name in sorted(self._wanted)]
        answer = await self._ask(DescribeTopicPartitionsRequest(topics=names))
        for topic in answer.topics:
            _expect(topic.error_code, 0, f"{topic.name}, which was made,")
            for partition in topic.partitions:
                strangers = [node for node in partition.isr_nodes if node not in partition.replica_nodes]
                _expect(strangers, [], f"who is in sync in {topic.name} without being a replica")

    async def _look_at_settings(self) -> None:
        names = sorted(self._wanted)
        request = DescribeConfigsRequest(
            resources=[
                DescribeConfigsResource(resource_type=TOPIC_RESOURCE, resource_name=name, configuration_keys=None)
                for name in names
            ]
        )
        answer = await self._ask(request)
        for name, result in zip(names, answer.results, strict=True):
            _expect(result.error_code, 0, f"the settings of {name}")
            has = {config.name: config.value for config in result.configs}
            for key, value in self._wanted[name].items():
                _expect(has.get(key), value, f"{key} of {name}")

    async def _look_at_groups(self) -> None:
        listed = await self._ask(ListGroupsRequest())
        if listed.error_code not in PASSING_ERRORS:
            _expect(listed.error_code, 0, "ListGroups")
        described = await self._ask(DescribeGroupsRequest(groups=self._groups))
        for group in described.groups:
            if group.error_code not in (*PASSING_ERRORS, ErrorCode.GROUP_ID_NOT_FOUND):
                _expect(group.error_code, 0, f"DescribeGroups of {group.group_id}")
                _expect(group.group_state in STATES, True, f"{group.group_state} is a state")


def _expect(is_: object, should_be: object, what: str) -> None:
    if is_ != should_be:
        raise BadView(f"{what}: {is_!r}, not {should_be!r}")
