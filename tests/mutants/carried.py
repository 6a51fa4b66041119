"""Leaders and followers as the services carry out what is decided about them (KR1-KR26)."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

FETCHERS = "streamline/services/fetchers.py"
LEADERSHIPS = "streamline/services/leaderships.py"
LED_PARTITION = "streamline/replication/leading.py"
NEAR = "streamline/api/near_fetch.py"
PARTITION = "streamline/services/partition.py"
REPLICA = "streamline/services/replica.py"
REPLICA_FETCH = "streamline/api/replica_fetch.py"
REPLICAS = "streamline/services/replicas.py"
REPLICATION = "streamline/services/replication.py"
SHARDS = "streamline/services/shards.py"

ASKING = "tests/services/test_leaderships.py::AskingTests::"
CUTTING = "tests/services/test_replica.py::CuttingTests::"
FAIL_OVER = "tests/api/test_replication.py::FailOverTests::"
FOLLOWER = "tests/api/test_near_fetch.py::FollowerTests::"
LEADER = "tests/api/test_near_fetch.py::LeaderTests::"
LINE = "tests/services/test_fetchers.py::LineTests::"
LOW = "tests/replication/test_leading.py::LowWatermarkTests::"
READING = "tests/api/test_replica_fetch.py::ReadingTests::"
ROLE = "tests/services/test_replica.py::RoleTests::"
TOO_FEW = "tests/services/test_replica.py::TooFewTests::"
WAITING = "tests/api/test_replica_fetch.py::WaitingTests::"
WATERMARK = "tests/services/test_leaderships.py::WatermarkTests::"

DELETING = "tests/api/test_replication.py::DeletingTests::"
SELECTING = "streamline/api/fetch.py"

FOLLOWING = (
    Mutant(
        "KR10", "Consumers are sent to replicas only, whatever a plugin says.", NEAR,
        "return chosen if chosen in racks else state.leader", "return chosen",
        [f"{FOLLOWER}test_nobody_is_sent_to_who_is_no_replica"],
    ),
    Mutant(
        "KR10", "Where consumers read from leaders, followers serve nobody.", SELECTING,
        "if request.rack_id and call.broker.selector.reads_followers:", "if request.rack_id:",
        [f"{FOLLOWER}test_switched_off"],
    ),
    Mutant(
        "KR4", "Epochs that were not written with their records are forgotten with them.", REPLICA,
        "if self._following is not None and self.epochs.truncate_end(self.log.end_offset):", "if False:",
        [f"{CUTTING}test_epochs_that_were_not_written"],
    ),
    Mutant(
        "KR4", "A leader's epoch begins before its first record.", REPLICA,
        "if self._following is not None and self.epochs.truncate_end(self.log.end_offset):",
        "if self.epochs.truncate_end(self.log.end_offset):",
        [f"{CUTTING}test_an_epoch_that_begins"],
    ),
    Mutant(
        "RT2", "A follower says where its log begins as soon as it does.", FETCHERS,
        "self._line.moved(self)", "pass",
        [f"{DELETING}test_everywhere"],
    ),
    Mutant(
        "RT2", "Followers are told soon that less is kept.", "streamline/api/records.py",
        "partition.start_moved()", "pass",
        [f"{DELETING}test_everywhere"],
    ),
    Mutant(
        "RT2", "What was said to be deleted is not back with a leader that was gone meanwhile.", LED_PARTITION,
        "counts = (broker is not None and broker.is_active) or node in self._state.elr",
        "counts = broker is not None and broker.is_active",
        [f"{LOW}test_who_is_gone"],
    ),
    Mutant(
        "RT2", "Whoever asked waits for all who are there.", "streamline/api/records.py",
        "if not behind:", "if True:",
        [f"{DELETING}test_everywhere", f"{DELETING}test_one_is_not_there"],
    ),
    Mutant(
        "RT2", "And not for those who are not, and cannot lead.", LED_PARTITION,
        "if counts and follower.start_offset < start_offset:",
        "if follower.start_offset < start_offset:",
        [f"{DELETING}test_one_is_not_there", f"{LOW}test_who_is_gone"],
    ),
    Mutant(
        "KR1", "What is decided to be cut is cut.", FETCHERS,
        "self._replica.cut(step.offset)", "pass",
        [f"{LINE}test_cut", f"{FAIL_OVER}test_leader_dies"],
    ),
    Mutant(
        "KR1", "A fetch says what counts, and is not sent before everything that came counts.", FETCHERS,
        "if self._is_stopped or self._is_taking or self._open_steps:", "if self._is_stopped or self._is_taking:",
        [f"{LINE}test_waits_for_the_sync", f"{LINE}test_every_step_before_the_next_fetch"],
    ),
    Mutant(
        "KR1", "Nor before all of an answer has been taken, which may be in several turns.", FETCHERS,
        "if self._is_stopped or self._is_taking or self._open_steps:", "if self._is_stopped or self._open_steps:",
        [f"{LINE}test_some_in_each_turn"],
    ),
    Mutant(
        "KR1", "A sync that began before a cut says nothing about what came afterwards.", PARTITION,
        "if cuts != self._cuts:", "if False:",
        [f"{CUTTING}test_two_syncs"],
    ),
    Mutant(
        "KR1", "What counts of a copy falls with it.", REPLICA,
        "self.counted_offset = min(self.counted_offset, end_offset)", "",
        [f"{CUTTING}test_nothing_counts_that_is_gone"],
    ),
    Mutant(
        "KR2", "Who led a moment ago says where its whole log ends, not only what counts of it.", FETCHERS,
        "LogRange(kept.start_offset, kept.end_offset),", "LogRange(kept.start_offset, replica.counted_offset),",
        [f"{LINE}test_what_it_wrote_as_a_leader_does_not_count_yet"],
    ),
    Mutant(
        "KR1", "And asks for nothing before that counts.", FETCHERS,
        "if following.is_counting:", "if False:",
        [f"{LINE}test_what_it_wrote_as_a_leader_does_not_count_yet"],
    ),
    Mutant(
        "KR1", "What a cut leaves counts once it is synced, where the sync that it waited for means nothing.", REPLICA,
        "if self.counted_offset < self.log.end_offset:", "if False:",
        [f"{CUTTING}test_what_a_cut_leaves_is_synced"],
    ),
    Mutant(
        "KR2", "What is copied brings its epoch.", REPLICA,
        "if self.epochs.assign(header.partition_leader_epoch, header.base_offset):", "if False:",
        [f"{CUTTING}test_copied"],
    ),
    Mutant(
        "KR2", "Who begins to lead begins an epoch.", REPLICA,
        "if self.epochs.assign(self.state.leader_epoch, self.log.end_offset):", "if False:",
        [f"{CUTTING}test_epoch_without_records"],
    ),
    Mutant(
        "KR4", "An epoch in which we led and wrote nothing is forgotten on disk as well.", REPLICA,
        "if self.epochs.latest != latest:", "if False:",
        [f"{CUTTING}test_epoch_without_records"],
    ),
    Mutant(
        "KR7", "What is committed is looked at again once the log has been cut.", FETCHERS,
        "self.followed.cut(kept.start_offset, kept.end_offset)", "pass",
        [f"{LINE}test_cut"],
    ),
    Mutant(
        "KR7", "Who is told where its log parts from ours is told afterwards what is committed, in any case.",
        "streamline/api/fetch.py",
        "wanted.told_high_watermark = NO_OFFSET if read.diverging is not None else read.high_watermark",
        "wanted.told_high_watermark = read.high_watermark", [f"{WAITING}test_told_again_after_a_cut"],
    ),
    Mutant(
        "KR8", "An empty log begins where a batch does in which the leader's log begins.", FETCHERS,
        "if followed.begins_within(header):", "if False:",
        [f"{LINE}test_leader_begins_within_a_batch"],
    ),
    Mutant(
        "SE22", "Batches are checked before they are copied.", FETCHERS,
        "if not is_sound or end > len(records) or not is_intact(records, at, header):", "if end > len(records):",
        [f"{LINE}test_damaged", f"{LINE}test_nothing_but_damage"],
    ),
    Mutant(
        "SE22", "A partition that cannot be copied does not keep others from it.", FETCHERS,
        "following.refused(error)\nis_done = True", "raise",
        [f"{LINE}test_one_that_is_defective"],
    ),
)

LEADING = (
    Mutant(
        "KR3", "A follower is told where its log parts from ours.", LEADERSHIPS,
        "return divergence.epoch, divergence.end_offset", "return None",
        [f"{WATERMARK}test_parted", f"{READING}test_parted"],
    ),
    Mutant(
        "KR5", "A follower is asked whom it follows.", REPLICA_FETCH,
        "leader_epoch=wanted.current_leader_epoch,", "leader_epoch=partition.state.leader_epoch,",
        [f"{READING}test_epochs"],
    ),
    Mutant(
        "KR5", "A node fetches for itself.", REPLICA_FETCH,
        "if state is None or state.replica_id != sender.node_id:", "if state is None:",
        [f"{READING}test_speaks_for_another"],
    ),
    Mutant(
        "KR9", "What is in the log and does not count yet may have been committed, too.", LEADERSHIPS,
        "led.epoch_start_offset = log.end_offset", "",
        [f"{WATERMARK}test_what_does_not_count_yet"],
    ),
    Mutant(
        "KR10", "A follower gives consumers what it knows to be committed.", NEAR,
        "partition.check_follower_read(wanted.fetch_offset)", "",
        [f"{FOLLOWER}test_only_what_is_committed"],
    ),
    Mutant(
        "KR10", "Consumers are sent to replicas in sync.", NEAR,
        "for node_id in state.isr", "for node_id in state.replicas",
        [f"{LEADER}test_only_to_those_in_sync"],
    ),
    Mutant(
        "KR10", "Nobody is sent elsewhere with an offset that is nowhere.", NEAR,
        "partition.check_leader_read(wanted.fetch_offset)", "",
        [f"{LEADER}test_out_of_range"],
    ),
    Mutant(
        "KR11", "What followers say moves the high watermark in the same turn.", LEADERSHIPS,
        "self._tell()\nif follower.node_id not in self.isr:", "if follower.node_id not in self.isr:",
        [f"{WATERMARK}test_moves_when_followers_fetched", f"{READING}test_committed_by_the_fetch"],
    ),
    Mutant(
        "KR11", "A follower that does not know the high watermark is told soon.", REPLICA_FETCH,
        "if read.high_watermark != told or read.start_offset != wanted.told_start_offset:", "if False:",
        [f"{WAITING}test_high_watermark"],
    ),
    Mutant(
        "KR12", "A request without an answer may have been agreed to.", REPLICATION,
        "leadership.unanswered(ask)", "leadership.answered(ask, ErrorCode.INELIGIBLE_REPLICA, -1)",
        [f"{ASKING}test_unknown_outcome"],
    ),
    Mutant(
        "KR12", "It is repeated until something definite is said, however long each one rests.", REPLICATION,
        "if leadership.retry_s > now_s:", "if False:",
        [f"{ASKING}test_asked_again_after_a_refusal", f"{ASKING}test_refused_one_after_the_other"],
    ),
    Mutant(
        "KR13", "A request says which state of the partition it is to replace.", LEADERSHIPS,
        "partition_epoch=ask.partition_epoch,", "partition_epoch=0,",
        [f"{ASKING}test_grows"],
    ),
    Mutant(
        "KR14", "Who has caught up is asked for as soon as it says so.", LEADERSHIPS,
        "if follower.node_id not in self.isr:\n    self._around.consider(self)", "",
        [f"{ASKING}test_grows"],
    ),
    Mutant(
        "KR16", "A leader hears of brokers with each change of the metadata.", LEADERSHIPS,
        "led.metadata_changed(state, min_isr, self._around.brokers, self._around.now_s())",
        "led.metadata_changed(state, min_isr, led._brokers, self._around.now_s())",
        [f"{ASKING}test_unknown_outcome"],
    ),
    Mutant(
        "KR17", "A leader hears that a replica stops, and does not wait for it.", LEADERSHIPS,
        "led.metadata_changed(state, min_isr, self._around.brokers, self._around.now_s())",
        "led.metadata_changed(state, min_isr, led._brokers, self._around.now_s())",
        [f"{ASKING}test_refused_for_good"],
    ),
    Mutant(
        "KR18", "A request names the processes that are to be in sync.", LEADERSHIPS,
        "isr=[Member(member.node_id, member.broker_epoch) for member in ask.isr],",
        "isr=[Member(member.node_id, 0) for member in ask.isr],",
        [f"{ASKING}test_grows"],
    ),
    Mutant(
        "KR18", "A fetch says which process it is of.", REPLICA_FETCH,
        "broker_epoch=self._broker_epoch,", "broker_epoch=1 << 60,",
        [f"{READING}test_an_earlier_process"],
    ),
    Mutant(
        "KR19", "A leader goes by the number that is agreed on.", REPLICAS,
        "replica.become(role, state, rules_of(image, identity.topic).min_isr, self._replicator)",
        "replica.become(role, state, 1, self._replicator)",
        [f"{FAIL_OVER}test_replicated"],
    ),
    Mutant(
        "KR19", "That is so as well where it has to wait before it leads.", REPLICA,
        "elif self._lead_later is not None:", "elif False:",
        [f"{ROLE}test_minimum_while_producers_are_read"],
    ),
    Mutant(
        "KR23", "Replicas are late by replica.lag.time.max.ms.", LEADERSHIPS,
        "lag_max_s=around.lag_max_s,", "lag_max_s=0.0,",
        [f"{ASKING}test_shrinks"],
    ),
)

ROLES = (
    Mutant(
        "KR15", "Who is no leader and no follower copies nothing.", REPLICA,
        "elif role is Role.FOLLOWER:", "else:",
        [f"{ROLE}test_waiting"],
    ),
    Mutant(
        "KR24", "Producers that wait in vain are told so at once.", REPLICA,
        "self._release_vain()", "",
        [f"{TOO_FEW}test_told_at_once", f"{TOO_FEW}test_the_minimum_rises", f"{TOO_FEW}test_strict"],
    ),
    Mutant(
        "KR26", "Who leads no longer releases those who wait for it.", REPLICA,
        "self._leadership = self._following = None\nself._release()", "self._leadership = self._following = None",
        [f"{ROLE}test_nobody_is_told_that_it_is_safe", f"{WAITING}test_it_leads_no_longer"],
    ),
    Mutant(
        "KR26", "A batch that an earlier leadership took is not acknowledged by a later one.", PARTITION,
        "if leadership is None or receipt.leadership is not leadership:", "if leadership is None:",
        [f"{ROLE}test_nobody_is_told_that_it_is_safe"],
    ),
    Mutant(
        "KR26", "Nor are many of them together.", PARTITION,
        "if receipt.next_offset > reached or receipt.refusal is not None or receipt.leadership is not leadership:",
        "if receipt.next_offset > reached or receipt.refusal is not None:",
        [f"{ROLE}test_nobody_is_told_that_it_is_safe"],
    ),
    Mutant(
        "KR26", "Nobody waits for a leadership that is over.", PARTITION,
        "if receipt.refusal is not None or self.offline is not None or receipt.leadership is not self._leadership:",
        "if receipt.refusal is not None or self.offline is not None:",
        [f"{ROLE}test_nobody_is_told_that_it_is_safe"],
    ),
)

MUTANTS = (*FOLLOWING, *LEADING, *ROLES)
