"""A follower's fetch of one partition on its short way: what sends it on the long one (SW1-SW3)."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

LONE = "streamline/api/lone_fetch.py"
FETCHES = "streamline/api/replica_fetch.py"
STANDING = "streamline/api/standing.py"
WIRE = "streamline/wire/lone.py"
LISTENER = "streamline/net/peer.py"

LONG = "tests/api/test_lone_fetch.py::LongWayTests::"
SHORT = "tests/api/test_lone_fetch.py::ShortWayTests::"
REFUSAL = "tests/api/test_lone_fetch.py::RefusalTests::"
USUAL = "tests/net/test_usual.py::UsualTests::"

MUTANTS = (
    Mutant(
        "SW1", "A follower is answered by the leader that it told where it is, or is told that it leads no more.", LONE,
        "if leadership is None or partition.leadership is not leadership or said.replica_id not in leadership.isr:",
        "if leadership is None or said.replica_id not in leadership.isr:",
        [f"{LONG}test_it_leads_anew_and_writes"],
    ),
    Mutant(
        "SW1", "Who is not in sync is throttled on the short way as on the long one.", LONE,
        "if leadership is None or partition.leadership is not leadership or said.replica_id not in leadership.isr:",
        "if leadership is None or partition.leadership is not leadership:",
        [f"{LONG}test_out_of_sync"],
    ),
    Mutant(
        "SW1", "What another partition has goes with it.", LONE,
        "if not self.standing.is_only(self.wanted.key):", "if False:",
        [f"{LONG}test_two_partitions"],
    ),
    Mutant(
        "SW1", "What is written while a fetch is being heard is not waited for.", LONE,
        "if partition.leadership is not leadership or log.flushed_offset != said.fetch_offset or told == NO_OFFSET:",
        "if partition.leadership is not leadership or told == NO_OFFSET:",
        [f"{LONG}test_what_came_meanwhile"],
    ),
    Mutant(
        "SW1", "A follower that takes nothing for known is told at once.", LONE,
        "if partition.leadership is not leadership or log.flushed_offset != said.fetch_offset or told == NO_OFFSET:",
        "if partition.leadership is not leadership or log.flushed_offset != said.fetch_offset:",
        [f"{LONG}test_told_at_once"],
    ),
    Mutant(
        "SW2", "Whose log parts from ours is told where, and is given nothing.", LONE,
        "return partition.fetched(heard) is None", "return partition.fetched(heard) is None or True",
        [f"{LONG}test_parted"],
    ),
    Mutant(
        "SW2", "Who may not fetch is refused on the short way as well.", LONE,
        "except Refused:\n    return False", "except Refused:\n    return True",
        [f"{LONG}test_another_epoch"],
    ),
    Mutant(
        "SW2", "A follower has its own session, and nobody else's.", LONE,
        "if self.is_waiting or said.session_id != self.session.session_id:", "if self.is_waiting:",
        [f"{REFUSAL}test_of_another_node"],
    ),
    Mutant(
        "SW1", "A fetch that waits is not forgotten because of another one.", LONE,
        "if self.is_waiting or said.session_id != self.session.session_id:",
        "if said.session_id != self.session.session_id:",
        [f"{REFUSAL}test_one_at_a_time"],
    ),
    Mutant(
        "SW1", "What a follower lacks is read on the long way.", LONE,
        "is_usual = log.identity.topic_id == said.topic_id and said.fetch_offset == log.flushed_offset",
        "is_usual = log.identity.topic_id == said.topic_id",
        [f"{REFUSAL}test_it_lacks_something"],
    ),
    Mutant(
        "SW2", "A process that registered anew says so of all that it copies.", STANDING,
        "return broker_epoch == self._broker_epoch and now_s - self._looked_s < LOOK_AT_ALL_S",
        "return now_s - self._looked_s < LOOK_AT_ALL_S",
        [f"{REFUSAL}test_another_broker_epoch"],
    ),
    Mutant(
        "SW1", "Everything that a follower wants is looked at once in a while.", STANDING,
        "return broker_epoch == self._broker_epoch and now_s - self._looked_s < LOOK_AT_ALL_S",
        "return broker_epoch == self._broker_epoch",
        [f"{REFUSAL}test_everything_once_in_a_while"],
    ),
    Mutant(
        "SW2", "Nobody says how far the log of another node goes.", FETCHES,
        "if said is None or reading is None or said.replica_id != sender.node_id:",
        "if said is None or reading is None:",
        [f"{REFUSAL}test_of_another_node"],
    ),
    Mutant(
        "SW1", "A fetch whose connection has ended is answered no more.", LISTENER,
        "self._taken.cancel()", "pass",
        [f"{USUAL}test_its_end"],
    ),
    Mutant(
        "SW2", "Only a node of the cluster goes the short way.", LISTENER,
        "if not self._is_trusted(guest):", "if False:",
        [f"{USUAL}test_a_node_that_takes_part_no_more"],
    ),
    Mutant(
        "SW3", "Of a request that need not be read, all that comes before its body is as it was.", LISTENER,
        "if type(frame) is not bytes or frame[8:at] != usual.rest or frame[:4] != usual.api:",
        "if type(frame) is not bytes or frame[:4] != usual.api:",
        [f"{USUAL}test_another_beginning"],
    ),
    Mutant(
        "SW3", "What is read by hand has exactly that form.", WIRE,
        "if topics != _ONE or partitions != _ONE or state != _STATE or end != _NO_TAGS or isolation_level:",
        "if topics != _ONE or partitions != _ONE or state != _STATE or isolation_level:",
        ["tests/wire/test_lone.py::FetchTests::test_damaged"],
    ),
    Mutant(
        "SW3", "An answer that says more than records is read in full.", WIRE,
        "if topics != _ONE or partitions != _ONE or aborted != _NULL or buf[size - 3 :] != _END:",
        "if topics != _ONE or partitions != _ONE or aborted != _NULL:",
        ["tests/wire/test_lone.py::AnswerTests::test_every_byte"],
    ),
    Mutant(
        "SW3", "Records end where an answer does.", WIRE,
        "if length < 2 or end + len(_END) != size:", "if length < 2:",
        ["tests/wire/test_lone.py::AnswerTests::test_every_byte"],
    ),
)  # fmt: skip
"""All of them."""
