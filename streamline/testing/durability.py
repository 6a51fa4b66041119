"""
What a power cut may take: the durability section of the README as a judge.

A topic with C{flush.messages=1} loses nothing that was acknowledged, ever, and
never shows what it could still lose.  Any other topic of a single node may lose,
at a power cut, the records that were not synced yet.  They are the tail of the
log: where one is lost, every later one of that time is lost too.  And they are
young: everything is synced once every C{log.flush.offset.checkpoint.interval.ms},
so that nothing older than this window may be missing.  C{kill -9} takes nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence

from attrs import define, frozen

from streamline.model import TopicPartition
from streamline.testing.checks import Anomaly, Pardon
from streamline.testing.history import OK, History, Send


@frozen
class PowerCuts:
    """
    When the power was cut, and which topics may suffer.

    @ivar times: in order.
    @ivar synced_topics: the topics that are synced on each append.
    @ivar window_s: how old a record can be at a cut and still be unsynced.
    """

    times: Sequence[float]
    synced_topics: Collection[str]
    window_s: float

    def between(self, after: float, before: float) -> Sequence[float]:
        """Return the cuts after one time, up to and including another."""
        return self.times[bisect_right(self.times, after) : bisect_right(self.times, before)]

    def may_go_back(self, before: float, after: float) -> bool:
        """Say whether a committed offset may be gone: they lie in a topic that is not synced on each append."""
        return any(cut - before <= self.window_s for cut in self.between(before, after))

    def may_change(self, key: TopicPartition, before: float, after: float) -> bool:
        """Say whether what was seen of a partition at one time may look different at another."""
        if key.topic in self.synced_topics:
            return False
        return self.may_go_back(before, after)


@define
class Loss:
    """
    What the cuts of a run took.

    @ivar pardon: what they were allowed to take.
    @ivar anomalies: where they took more.
    """

    pardon: Pardon
    anomalies: list[Anomaly]


def judge(history: History, cuts: PowerCuts) -> Loss:
    """
    Look at every acknowledged send that is missing at the end.

    One that no cut explains gets no pardon, so that the checkers report it.
    """
    read = {(poll.key, value): None for poll in history.polls if poll.is_final for _, value in poll.records}
    missing: dict[TopicPartition, list[Send]] = {}
    survivors: dict[TopicPartition, list[Send]] = {}
    for send in history.sends:
        if send.status == OK and send.offset >= history.starts.get(send.key, 0):
            there = survivors if (send.key, send.value) in read else missing
            there.setdefault(send.key, []).append(send)
    lost: dict[str, None] = {}
    anomalies: list[Anomaly] = []
    for key, sends in missing.items():
        if key.topic in cuts.synced_topics:
            continue
        for send in sends:
            if not cuts.between(send.sent_at, send.done_at + cuts.window_s):
                continue
            lost[send.value] = None
            if (hole := _survivor_behind(send, survivors.get(key, []), cuts)) is not None:
                detail = f"{send.value} at {send.offset} is lost, {hole.value} at {hole.offset} behind it is not"
                anomalies.append(Anomaly("hole", str(key), detail))
    return Loss(Pardon(lost, cuts.may_change), anomalies)


def _survivor_behind(send: Send, survivors: list[Send], cuts: PowerCuts) -> Send | None:
    """
    Return a record that lay behind a lost one when the power was cut, and survived; None if one cut has none.

    A record acknowledged after the cut may have the offset of a lost one.
    """
    behind: Send | None = None
    for cut in cuts.between(send.sent_at, send.done_at + cuts.window_s):
        behind = next((one for one in survivors if one.offset > send.offset and one.done_at <= cut), None)
        if behind is None:
            return None
    return behind
