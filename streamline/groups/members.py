"""
The members of one group: who is in, who leads, which protocol they share.

Knows no state of the group and no time.  Everything is kept in order of
arrival, so that a choice among equals (the next leader, the winner of a tied
vote) is the same on every replay.
"""

from __future__ import annotations

from attrs import field

from streamline.errors import ErrorCode
from streamline.groups.entries import MemberMetadata
from streamline.groups.messages import NO_MEMBER_ID, JoinedMember, Protocol, Token
from streamline.values import define


@define(eq=False, kw_only=True)
class Member:
    """
    One member of a group.

    @ivar protocols: what it supports, the one it likes best first.
    @ivar is_new: whether it has never been answered; such a member cannot send heartbeats.
    @ivar joining: the token of its JoinGroup that waits, or C{None}; only L{Roster} sets it.
    @ivar syncing: the token of its SyncGroup that waits, or C{None}.
    """

    member_id: str
    instance_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    rebalance_timeout_ms: int
    session_timeout_ms: int
    protocols: tuple[Protocol, ...]
    assignment: bytes = b""
    is_new: bool = False
    joining: Token | None = None
    syncing: Token | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a parked request of its own proves that it is alive."""
        return not self.is_new and (self.joining is not None or self.syncing is not None)

    def metadata(self, protocol: str | None) -> bytes:
        """Return what it says about itself in a protocol; nothing in one that it does not support."""
        return next((offer.metadata for offer in self.protocols if offer.name == protocol), b"")

    def stored(self, protocol: str | None, assignment: bytes) -> MemberMetadata:
        """Return it as the log keeps it."""
        return MemberMetadata(
            member_id=self.member_id,
            instance_id=self.instance_id,
            client_id=self.client_id,
            client_host=self.client_host,
            rebalance_timeout_ms=self.rebalance_timeout_ms,
            session_timeout_ms=self.session_timeout_ms,
            subscription=self.metadata(protocol),
            assignment=assignment,
        )

    def as_joined(self, protocol: str | None) -> JoinedMember:
        """Return it as the leader sees it."""
        return JoinedMember(self.member_id, self.instance_id, self.metadata(protocol))


@define(eq=False)
class Roster:
    """
    The members of one group, by id.

    @ivar members: in order of arrival.
    @ivar leader_id: a key of C{members}, or empty when there are none.
    @ivar pending: ids given out by MEMBER_ID_REQUIRED that have not come back, oldest first (KIP-394).
    @ivar unsynced: members of this generation that have not sent SyncGroup.
    @ivar joining_count: how many members have a JoinGroup waiting.
    """

    members: dict[str, Member] = field(factory=dict)
    leader_id: str = NO_MEMBER_ID
    pending: dict[str, None] = field(factory=dict)
    unsynced: dict[str, None] = field(factory=dict)
    joining_count: int = 0
    _instances: dict[str, str] = field(factory=dict)
    _supporters: dict[str, int] = field(factory=dict)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def all_joined(self) -> bool:
        """Whether nobody is left to wait for before the next generation."""
        return self.joining_count == len(self.members) and not self.pending

    @property
    def rebalance_timeout_ms(self) -> int:
        """The longest time that any member wants for finishing its work and rejoining."""
        return max((member.rebalance_timeout_ms for member in self.members.values()), default=0)

    @property
    def laggards(self) -> list[Member]:
        """Members who have not rejoined and whom nobody promised to wait for: all but the static ones."""
        return [member for member in self.members.values() if member.joining is None and member.instance_id is None]

    def instance(self, instance_id: str) -> Member | None:
        """Return the static member with this instance id."""
        return self.members.get(self._instances.get(instance_id, NO_MEMBER_ID))

    def why_not_member(self, member_id: str, instance_id: str | None) -> ErrorCode:
        """Return what to tell somebody who claims to be this member; NONE if it is (KIP-345)."""
        if instance_id is not None:
            owner = self._instances.get(instance_id)
            if owner is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            if owner != member_id:
                return ErrorCode.FENCED_INSTANCE_ID
        return ErrorCode.NONE if member_id in self.members else ErrorCode.UNKNOWN_MEMBER_ID

    def add(self, member: Member) -> None:
        """Take in a member whose id and instance id are not taken; the first one leads."""
        self.members[member.member_id] = member
        self.pending.pop(member.member_id, None)
        self._count(member.protocols, 1)
        self.joining_count += member.joining is not None
        if member.instance_id is not None:
            self._instances[member.instance_id] = member.member_id
        if not self.leader_id:
            self.leader_id = member.member_id

    def remove(self, member: Member) -> None:
        """Strike a member off; if it led, the oldest member leads."""
        del self.members[member.member_id]
        self.unsynced.pop(member.member_id, None)
        self._count(member.protocols, -1)
        self.joining_count -= member.joining is not None
        if member.instance_id is not None:
            del self._instances[member.instance_id]
        if self.leader_id == member.member_id:
            self.leader_id = next(iter(self.members), NO_MEMBER_ID)

    def rename(self, member: Member, member_id: str) -> None:
        """Give a static member that came back a new id, in its old place in the order and with its office."""
        old_id = member.member_id
        self.members = {member_id if key == old_id else key: value for key, value in self.members.items()}
        if old_id in self.unsynced:
            self.unsynced = {member_id if key == old_id else key: None for key in self.unsynced}
        if member.instance_id is not None:
            self._instances[member.instance_id] = member_id
        if self.leader_id == old_id:
            self.leader_id = member_id
        member.member_id = member_id

    def park_join(self, member: Member, token: Token | None) -> Token | None:
        """Let this JoinGroup (or none) wait for the member; return the one that waited until now."""
        before, member.joining = member.joining, token
        self.joining_count += (token is not None) - (before is not None)
        return before

    def support(self, member: Member, protocols: tuple[Protocol, ...]) -> None:
        """Note that a member now supports these protocols instead."""
        self._count(member.protocols, -1)
        member.protocols = protocols
        self._count(protocols, 1)

    def supports_any(self, protocols: tuple[Protocol, ...]) -> bool:
        """Say whether one of the protocols is supported by every member."""
        return any(self._supporters.get(offer.name, 0) == len(self.members) for offer in protocols)

    def select_protocol(self) -> str:
        """
        Let each member vote for the protocol it likes best among those that all support.

        The most votes win; of a tie, the protocol voted for first.  There is
        at least one member, and one protocol that all support.
        """
        votes: dict[str, int] = {}
        for member in self.members.values():
            choice = next(offer.name for offer in member.protocols if self._is_common(offer.name))
            votes[choice] = votes.get(choice, 0) + 1
        return max(votes, key=lambda name: votes[name])

    def elect_joined_leader(self) -> bool:
        """See to it that the leader is someone who has rejoined; say whether there is such a member."""
        leader = self.members.get(self.leader_id)
        if leader is None or leader.joining is None:
            joined = (key for key, member in self.members.items() if member.joining is not None)
            successor = next(joined, None)
            if successor is None:
                return False
            self.leader_id = successor
        return True

    def _is_common(self, name: str) -> bool:
        return self._supporters.get(name, 0) == len(self.members)

    def _count(self, protocols: tuple[Protocol, ...], change: int) -> None:
        for offer in protocols:
            count = self._supporters.get(offer.name, 0) + change
            if count:
                self._supporters[offer.name] = count
            else:
                del self._supporters[offer.name]
