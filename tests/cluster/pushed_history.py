"""Histories of L{tests.cluster.isr_model} in which the controller pushes, and the network does as it likes with it."""

from __future__ import annotations

from streamline.cluster.delta import difference
from streamline.cluster.foresight import Here
from streamline.cluster.image import MetadataImage
from streamline.cluster.membership import NO_BROKER_EPOCH
from streamline.cluster.pushing import Push, Pusher, pushes, unsettles
from streamline.cluster.rules import rules_of
from streamline.errors import Refused
from streamline.model import NO_LEADER
from streamline.wire.codec import decode, encode
from streamline.wire.messages.peer_pushes import LeaderAndIsrRequest, StopReplicaRequest, UpdateMetadataRequest
from tests.cluster.isr_history import CATCH_UP, LIFE, Chances, Event
from tests.cluster.isr_model import TOPIC, Node, Violated, World

SLOWLY: Event = (10, lambda world, node: world.catch_up(node, world.chance.randrange(1, 6)))
DELIVERIES: tuple[Event, ...] = (
    (20, lambda world, node: world.deliver()),  # type: ignore[attr-defined]
    (4, lambda world, node: world.tell()),  # type: ignore[attr-defined]
)
MAIL_MAX = 20
"""Beyond so many, what arrives or is lost comes no more."""


def over_the_wire(push: Push) -> Push:
    """Return what arrives of a push."""
    version = push.VERSIONS[1]
    read: Push = decode(type(push), version, encode(push, version))
    return read


class PushedHistory(World):
    """
    A world in which things happen by chance, and pushes are late, lost, repeated and out of order.

    @ivar mail: what was pushed to whom, and is still on its way; it may arrive more than once.
    """

    def __init__(self, seed: int, min_isr: int) -> None:
        self.mail: list[tuple[int, Push]] = []
        self.told: MetadataImage | None = None
        self.settled_index = 0
        super().__init__(seed, min_isr=min_isr)
        life = [event for event in LIFE if event is not CATCH_UP]
        self.chances = Chances(self, (*life, SLOWLY, *DELIVERIES))

    def step(self) -> None:
        """Let something happen."""
        self.chances.step(self)

    def commit(self, command: object) -> object:  # type: ignore[override]
        """Agree, and note what is to be pushed."""
        before = self.image
        result = super().commit(command)  # type: ignore[arg-type]
        if unsettles(before, self.image):
            self.settled_index = self.image.index
        self.told = self.told or before
        if self.chance.random() < 0.7:
            self.tell()
        return result

    def tell(self) -> None:
        """Push what was agreed on since the last time, in one piece."""
        base, self.told = self.told, None
        if base is None or not self.image.brokers:
            return
        controllers = sorted(self.image.brokers)
        controller = controllers[0] if self.chance.random() < 0.8 else self.chance.choice(controllers)
        pusher = Pusher(node_id=controller, epoch=self.counts["controllers"], settled_index=self.settled_index)
        said = pushes(difference(base, self.image), pusher)
        self.mail += said
        for _ in said if self.chance.random() < 0.6 else ():  # as a rule they come sooner than the log
            self.deliver(self.chance.randrange(len(self.mail) - len(said), len(self.mail)))

    def deliver(self, at: int = -1) -> None:
        """Something that was pushed arrives, or is lost; it may come again."""
        if not self.mail:
            return
        at = at if at >= 0 else self.chance.randrange(len(self.mail))
        node_id, push = self.mail[at]
        if len(self.mail) > MAIL_MAX:
            del self.mail[at]
        if self.chance.random() < 0.9 and self.nodes[node_id].is_up:
            self.arrive(self.nodes[node_id], over_the_wire(push))

    def arrive(self, node: Node, push: Push) -> None:
        """Have a node take a push, as far as it does."""
        known = node.image.brokers.get(node.node_id)
        is_known = known is not None and known.epoch == node.broker_epoch
        epoch = node.broker_epoch if is_known else NO_BROKER_EPOCH
        here = Here(node_id=node.node_id, image=node.image, broker_epoch=epoch, term=self.counts["controllers"])
        sender = self.image.brokers.get(push.controller_id)
        try:
            if sender is None or not node.foresight.admit(push, sender.node_id, sender.directory_id, here):
                return
        except Refused as refusal:
            self.counts[f"push: {refusal.code.name}"] += 1
            return
        if isinstance(push, UpdateMetadataRequest):
            self.counts["shown"] += node.foresight.show(push, node.image)
            return
        assert isinstance(push, LeaderAndIsrRequest | StopReplicaRequest)
        take = node.foresight.stop if isinstance(push, StopReplicaRequest) else node.foresight.lead_and_follow
        for outcome in take(push, here):  # type: ignore[arg-type]
            self.counts[f"{type(push).__name__} taken" if outcome.is_taken else f"pushed: {outcome.code.name}"] += 1
        self.check_foresight(node)
        before = node.leading
        self.follow(node)
        self.counts["led early"] += node.leading is not None and node.leading is not before

    def check_foresight(self, node: Node) -> None:
        """What a node acts on is what it will have applied one day, with the settings that are agreed on then."""
        state = node.state
        if state is None or state.leader == NO_LEADER:
            return
        coming = [image for image in self.images[node.image.index - 1 :] if image.partition(TOPIC, 0) == state]
        if not coming:
            raise Violated(f"{node.node_id} follows {state}, which the log does not say")
        if not any(rules_of(image, TOPIC) == rules_of(node.image, TOPIC) for image in coming):
            raise Violated(f"{node.node_id} leads by settings that were not agreed on with {state}")

    def check(self) -> None:
        """Look at everything."""
        super().check()
        for node in self.nodes.values():
            if node.is_up and node.image.index == self.image.index and not node.foresight.is_empty:
                raise Violated(f"{node.node_id} has applied everything, and follows pushes")
            shown = node.foresight.shown(node.image)
            if shown.topics.keys() != node.image.topics.keys() or shown.configs is not node.image.configs:
                raise Violated(f"{node.node_id} shows topics that it has not applied")
