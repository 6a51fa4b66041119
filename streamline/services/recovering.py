"""
The controller's help for partitions of which everybody who had everything has lost power.

L{streamline.cluster.recovery} says which they are, who is to be asked, and who is the best; here they are asked, and
what was decided is said, with figures: what the best one does not have is lost, and nobody knows how much that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.cluster.commands import Command
from streamline.cluster.image import MetadataImage
from streamline.cluster.recovery import LogEnd, LogInfo, Lost, lost, recover
from streamline.config import NodeConfig
from streamline.errors import Refused
from streamline.interfaces import Host
from streamline.model import TopicPartition
from streamline.raft import ReplicaKey
from streamline.services.controllership import Controllership
from streamline.services.log_info import ReplicaLogs
from streamline.services.metadata import Metadata
from streamline.services.peer_call import NoAnswer
from streamline.services.peers import Peers
from streamline.wire.messages.log_info import GetReplicaLogInfoRequest, GetReplicaLogInfoResponse, LogInfoTopic

log = Logger()

ANSWER_S: Final = 5.0
AGAIN_S: Final = 0.5
"""How soon is looked again while somebody is missing, or did not answer."""
PARTITIONS_MAX: Final = 1000
"""How many partitions are recovered in one round."""

Said = dict[TopicPartition, dict[int, LogInfo]]
"""By partition and node, how far a log goes."""


class Recovering(Service):
    """
    Looks after such partitions, wherever this node is the controller.

    @ivar recovered: how many it has had led again.
    @param peers: the way to other nodes; None where this node takes none.
    """

    def __init__(
        self,
        host: Host,
        config: NodeConfig,
        metadata: Metadata,
        controllership: Controllership,
        peers: Peers | None,
        logs: ReplicaLogs,
    ) -> None:
        self._clock = host.clock
        self._node_id = config.node_id
        self._patience_s = config.broker.unclean_recovery_timeout_ms / 1000
        self._metadata = metadata
        self._controllership = controllership
        self._peers = peers
        self._logs = logs
        self._timer: IDelayedCall | None = None
        self._is_asking = False
        self._since: dict[TopicPartition, float] = {}
        """When each such partition was seen to be one."""
        self._complaint = ""
        self.recovered = 0
        controllership.add_duty(self)
        metadata.listen(self._changed)

    def stopService(self) -> None:
        """Look no more."""
        Service.stopService(self)
        self.resigned()

    # Duty

    def took_over(self) -> None:
        """Look at once."""
        self._look_after(0.0)

    def resigned(self) -> None:
        """Leave that to the next controller."""
        self._since.clear()
        self._complaint = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _changed(self, old: MetadataImage, new: MetadataImage) -> None:
        """A partition gets into this state by what becomes of brokers, and out of it by them or by settings."""
        before, after = (old.brokers, old.configs, old.broker_configs), (new.brokers, new.configs, new.broker_configs)
        if any(one is not other for one, other in zip(before, after, strict=True)):
            self._look_after(0.0)

    # Looking

    def _look_after(self, seconds: float) -> None:
        if not self._controllership.is_active or self._is_asking:
            return
        if self._timer is not None:
            if self._timer.getTime() <= self._clock.seconds() + seconds:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        now, found = self._clock.seconds(), list(lost(self._metadata.image))
        self._since = {one.partition: self._since.get(one.partition, now) for one in found}
        ready = [one for one in found if self._is_ready(one)][:PARTITIONS_MAX]
        self._complain(found)
        if ready:
            self._is_asking = True
            ensureDeferred(self._recover(ready)).addErrback(self._failed).addBoth(self._asked)
        elif found:
            self._look_after(AGAIN_S)

    def _is_ready(self, one: Lost) -> bool:
        return bool(one.asked) and not one.awaited and not (one.hoped_for and self._is_patient(one.partition))

    def _is_patient(self, partition: TopicPartition) -> bool:
        return self._clock.seconds() < self._since.get(partition, self._clock.seconds()) + self._patience_s

    def _complain(self, found: Sequence[Lost]) -> None:
        """Say who is missing, where that has changed."""
        waiting = [one for one in found if not self._is_ready(one)]
        missing = sorted(dict.fromkeys(node for one in waiting for node in (*one.awaited, *one.hoped_for)))
        complaint = f"{len(waiting)} partitions, as {waiting[0].partition}: {missing}" if waiting else ""
        if complaint and complaint != self._complaint:
            log.warn(
                "{count} partitions, as {partition}, are led by nobody before nodes {missing} are back: all that had "
                "everything of them have lost power",
                count=len(waiting), partition=str(waiting[0].partition), missing=str(missing),
            )
        self._complaint = complaint

    def _failed(self, failure: Failure) -> None:
        if not failure.check(Refused):
            log.failure("partitions cannot be recovered", failure)

    def _asked(self, _: object) -> None:
        self._is_asking = False
        self._look_after(AGAIN_S if self._since else 0.0)

    # Asking

    async def _recover(self, found: Sequence[Lost]) -> None:
        nodes = dict.fromkeys(node for one in found for node in one.asked)
        said: Said = {one.partition: {} for one in found}
        answers = await gatherResults([self._ask(node, [one for one in found if node in one.asked]) for node in nodes])
        for node, answer in zip(nodes, answers, strict=True):
            self._note(said, node, answer)
        planned: list[TopicPartition] = []

        def plan(image: MetadataImage) -> Sequence[Command]:
            planned.clear()
            commands: list[Command] = []
            for partition, infos in said.items():
                try:
                    commands += recover(image, partition, infos, patient=self._is_patient(partition))
                except Refused:
                    continue  # it is looked at again
                planned.append(partition)
            return commands

        await self._controllership.decide(plan)
        for partition in planned:
            self.recovered += 1
            self._since.pop(partition, None)
            self._tell(partition, said[partition])

    def _ask(self, node: int, found: Sequence[Lost]) -> Deferred[GetReplicaLogInfoResponse | None]:
        topics: dict[bytes, list[int]] = {}
        for one in found:
            topics.setdefault(one.topic.topic_id, []).append(one.state.index)
        request = GetReplicaLogInfoRequest(
            broker_id=self._node_id,
            topic_partitions=[LogInfoTopic(topic_id=key, partitions=parts) for key, parts in topics.items()],
        )
        if node == self._node_id:
            return succeed(self._logs.describe(request))
        broker = self._metadata.image.brokers.get(node)
        if self._peers is None or broker is None:
            return succeed(None)
        key = ReplicaKey(node, broker.directory_id)
        return self._peers.ask(key, request, GetReplicaLogInfoResponse, ANSWER_S).addErrback(_no_answer)

    def _note(self, said: Said, node: int, answer: GetReplicaLogInfoResponse | None) -> None:
        image = self._metadata.image
        for topic in () if answer is None else answer.topic_partition_log_info_list:
            name = image.names.get(topic.topic_id)
            for one in () if name is None else topic.partition_log_info:
                infos = said.get(TopicPartition(str(name), one.partition))
                if infos is not None and not one.error_code:
                    end = LogEnd(one.last_written_leader_epoch, one.log_end_offset)
                    infos[node] = LogInfo(end, answer.broker_epoch, one.current_leader_epoch)  # type: ignore[union-attr]

    def _tell(self, partition: TopicPartition, infos: Mapping[int, LogInfo]) -> None:
        state = self._metadata.image.partition(partition.topic, partition.partition)
        ends = ", ".join(
            f"node {node} ends at {one.end.end_offset} of epoch {one.end.leader_epoch}"
            for node, one in sorted(infos.items())
        )
        log.warn(
            "possible loss: all that had everything of {partition} have lost power; node {leader} leads it: {ends}",
            partition=str(partition), leader=None if state is None else state.leader, ends=ends,
        )


def _no_answer(failure: Failure) -> Any:
    failure.trap(NoAnswer)
    return None
