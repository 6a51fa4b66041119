"""
Producer ids that nobody ever had: a node takes blocks of them, so that most need no agreement (KIP-730).

A block is given to one incarnation of a broker; what is left of it when the process ends is lost, and nobody minds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred, ensureDeferred, succeed

from streamline.cluster.commands import AllocateProducerIds, Command
from streamline.cluster.image import MetadataImage
from streamline.errors import ErrorCode, Refused
from streamline.services.brain import Brain
from streamline.services.controllership import Controllership
from streamline.services.peer_call import NoAnswer
from streamline.services.sharing import Shared
from streamline.wire.messages.producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse

BLOCK: Final = 1000
ANSWER_S: Final = 5.0


def allocate(controllership: Controllership, node: int, broker_epoch: int) -> Deferred[range]:
    """
    Give a broker the next block; the controller's side.

    @raise Refused: BROKER_ID_NOT_REGISTERED or STALE_BROKER_EPOCH, or as L{Controllership.decide}.
    """

    def plan(image: MetadataImage) -> Sequence[Command]:
        image.broker_at(node, broker_epoch)
        return [AllocateProducerIds(node_id=node, count=BLOCK, broker_epoch=broker_epoch)]

    return controllership.decide(plan).addCallback(lambda results: range(results[0], results[0] + BLOCK))


class ProducerIds:
    """The ids that this node has, and asking the controller for more."""

    def __init__(self, node_id: int, brain: Brain, broker_epoch: Callable[[], int]) -> None:
        """
        @param broker_epoch: returns the epoch of this process' registration.
        """
        self._node_id = node_id
        self._controllership = brain.controllership
        self._line = brain.line
        self._broker_epoch = broker_epoch
        self._left = range(0)
        self._block: Shared[None] = Shared()

    def next(self) -> Deferred[int]:
        """
        Fire with a producer id that nobody ever had.

        @raise Refused: COORDINATOR_LOAD_IN_PROGRESS, through the Deferred: there is none now; ask again.
        """
        if not self._left:
            return self._wait_for_block().addCallback(lambda _: self.next())
        taken, self._left = self._left[0], self._left[1:]
        return succeed(taken)

    def _wait_for_block(self) -> Deferred[None]:
        is_first = not self._block.is_awaited
        waiting = self._block.wait()
        if is_first:
            self._block.follow(ensureDeferred(self._get_block()))
        return waiting

    async def _get_block(self) -> None:
        try:
            self._left = await (self._allocated() if self._line.is_here else self._asked())
        except (Refused, NoAnswer) as error:
            raise Refused(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, f"there are no producer ids: {error}") from error

    def _allocated(self) -> Deferred[range]:
        return allocate(self._controllership, self._node_id, self._broker_epoch())

    def _asked(self) -> Deferred[range]:
        request = AllocateProducerIdsRequest(broker_id=self._node_id, broker_epoch=self._broker_epoch())
        return self._line.ask(request, AllocateProducerIdsResponse, ANSWER_S).addCallback(_block_of)


def _block_of(answer: AllocateProducerIdsResponse) -> range:
    if answer.error_code or answer.producer_id_len < 1:
        raise Refused(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, f"the controller says {answer.error_code}")
    return range(answer.producer_id_start, answer.producer_id_start + answer.producer_id_len)
