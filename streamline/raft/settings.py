"""
The quorum's settings: time in ticks, limits in entries and bytes.
"""

from __future__ import annotations

from attrs import Attribute, Factory, field
from attrs.validators import ge

from streamline.values import frozen

HEARTBEATS_PER_ELECTION = 10
"""An election waits for at least so many heartbeats (RF18): one that is late, or a short stall, is no reason for it."""


@frozen(kw_only=True)
class RaftSettings:
    """
    How patient a replica is, and how much it takes on at once.

    @ivar heartbeat_ticks: ticks between two signs of life of the leader.
    @ivar election_ticks: least silence before an election.
    @ivar spread_ticks: each wait is drawn between that and so much more; as much again by default.
    @ivar entry_bytes_max: a command's length at most.
    @ivar message_entries_max: entries in one message.
    @ivar message_bytes_max: their size together; a single entry may be larger.
    @ivar inflight_entries_max: entries sent to one follower and not yet acknowledged.
    @ivar inflight_bytes_max: the same in bytes.
    @ivar uncommitted_bytes_max: entries that wait to be committed; beyond it, proposals are refused.
    @ivar snapshot_chunk_bytes: length of a snapshot's pieces.
    @ivar snapshot_bytes_max: length of a snapshot at most.
    @ivar ready_bytes_max: committed entries handed out at once, about.
    """

    heartbeat_ticks: int = field(default=2, validator=ge(1))
    election_ticks: int = field(default=20, validator=ge(2))
    spread_ticks: int = field(default=Factory(lambda self: self.election_ticks, takes_self=True), validator=ge(1))
    entry_bytes_max: int = field(default=8 << 20, validator=ge(1))
    message_entries_max: int = field(default=1000, validator=ge(1))
    message_bytes_max: int = field(default=1 << 20, validator=ge(1))
    inflight_entries_max: int = field(default=10_000, validator=ge(1))
    inflight_bytes_max: int = field(default=16 << 20, validator=ge(1))
    uncommitted_bytes_max: int = field(default=64 << 20, validator=ge(1))
    snapshot_chunk_bytes: int = field(default=1 << 20, validator=ge(1))
    snapshot_bytes_max: int = field(default=1 << 30, validator=ge(0))
    ready_bytes_max: int = field(default=16 << 20, validator=ge(1))

    @election_ticks.validator
    def _outlasts_heartbeats(self, _: Attribute[int], ticks: int) -> None:
        needed = self.heartbeat_ticks * HEARTBEATS_PER_ELECTION
        if ticks < needed:
            raise ValueError(
                f"election_ticks ({ticks}) must be at least {needed}, {HEARTBEATS_PER_ELECTION} heartbeats of "
                f"{self.heartbeat_ticks}, or a leader that is busy for a moment is deposed"
            )
