"""
A post that carries the quorum's messages between simulated processes, as the objects they are.

It loses, doubles, delays and reorders, cuts some nodes off from others, and says when a
process is gone, as connections would.
"""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from streamline.interfaces import IInbox, IMessenger
from streamline.raft import Message, Replica, ReplicaKey
from streamline.testing.simulation.machine import Process
from streamline.testing.simulation.world import Simulation

REFUSED_AFTER_S = 0.002
"""How long it takes to find out that a process is gone."""


class Post:
    """
    What lies between the nodes.

    @ivar delay_s: how long a message takes, on average.
    @ivar loss_chance: that one gets lost; C{double_chance}, that it comes twice.
    @ivar cut_off: nodes that no message gets to or comes from.
    @ivar sent: how many messages there were, by the name of their class.
    """

    def __init__(self, simulation: Simulation) -> None:
        self.delay_s = 0.0005
        self.loss_chance = 0.0
        self.double_chance = 0.0
        self.cut_off: dict[int, None] = {}
        self.sent: dict[str, int] = {}
        self.simulation = simulation
        self._rng = simulation.stream("post")
        self._boxes: dict[ReplicaKey, PostMessenger] = {}

    def messenger(self, process: Process) -> PostMessenger:
        """Return what carries the messages of one process."""
        return PostMessenger(self, process)

    def opened(self, box: PostMessenger, key: ReplicaKey) -> None:
        """Hear where messages for somebody go."""
        self._boxes[key] = box

    def send(self, message: Message) -> None:
        """Bring a message, or not, or twice."""
        name = type(message).__name__
        self.sent[name] = self.sent.get(name, 0) + 1
        self.simulation.saw(str(message.sender), str(message.to), name, repr(message).encode())
        for _ in range(1 + (self._rng.random() < self.double_chance)):
            if self._rng.random() >= self.loss_chance:
                delay_s = self._rng.expovariate(1.0) * self.delay_s
                self.simulation.after(delay_s, self._arrive, message)

    def _arrive(self, message: Message) -> None:
        if message.sender.node_id in self.cut_off or message.to.node_id in self.cut_off:
            return
        box = self._boxes.get(message.to)
        if box is not None:
            box.bring("received", message)

    def inbox_of(self, key: ReplicaKey) -> IInbox:
        """Return what somebody's messages are brought to."""
        inbox = self._boxes[key].inbox
        assert inbox is not None, "it has ended"
        return inbox

    def died(self, key: ReplicaKey, *, power: bool) -> None:
        """Hear that a process has died; the others notice, unless the whole machine fell silent."""
        dead = self._boxes.pop(key, None)
        if dead is None or power or key.node_id in self.cut_off:
            return
        for box in list(self._boxes.values()):
            box.bring("connection_lost", key)
            self.simulation.after(REFUSED_AFTER_S, box.bring, "peer_gone", key)

    def cut(self, *nodes: int) -> None:
        """Cut these nodes off."""
        self.cut_off.update(dict.fromkeys(nodes))

    def heal(self) -> None:
        """Let all messages through again."""
        self.cut_off.clear()


@implementer(IMessenger)
class PostMessenger:
    """
    One process's letter box.

    @ivar known: whom it was told to be connected to.
    @ivar inbox: where messages are brought.
    """

    def __init__(self, post: Post, process: Process) -> None:
        self._post = post
        self._process = process
        self.inbox: IInbox | None = None
        self.key: ReplicaKey | None = None
        self.known: tuple[Replica, ...] = ()

    def attach(self, inbox: IInbox) -> None:
        """Bring messages here."""
        self.inbox = inbox
        if self.key is not None:
            self._post.opened(self, self.key)

    def detach(self) -> None:
        """Bring nothing any more."""
        self.inbox = None

    def know(self, replicas: Sequence[Replica]) -> None:
        """Note who else takes part."""
        self.known = tuple(replicas)

    def send(self, message: Message) -> None:
        """Send a message."""
        if self.inbox is not None and not self._process.dead:
            self._post.send(message)

    def bring(self, what: str, subject: Message | ReplicaKey) -> None:
        """Bring something, as soon as the process has time for it."""
        if not self._process.dead:
            self._process.reactor.callLater(0, self._call, what, subject)

    def _call(self, what: str, subject: Message | ReplicaKey) -> None:
        if self.inbox is not None:
            getattr(self.inbox, what)(subject)
