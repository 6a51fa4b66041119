"""Leaders, followers and what they ask the controller for (KR1-KR25), as the cores of replication decide it."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

ACKS = "streamline/replication/acks.py"
ALTERING = "streamline/cluster/altering.py"
CHANGES = "streamline/replication/isr_changes.py"
FOLLOWERS = "streamline/replication/followers.py"
FOLLOWING = "streamline/replication/following.py"
GUARDS = "streamline/cluster/guards.py"
LEADING = "streamline/replication/leading.py"
READING = "streamline/replication/reading.py"
ROLES = "streamline/replication/roles.py"
REPLICA_FETCH = "streamline/api/replica_fetch.py"
STANDING = "streamline/api/standing.py"
TRUNCATION = "streamline/replication/truncation.py"

ALTER = "tests/cluster/test_altering.py::AlterPartitionTests::"
ANSWERING = "tests/replication/test_acks.py::WaitingTests::"
BATCH = "tests/replication/test_following.py::BatchTests::"
CASE = "tests/replication/test_truncation.py::CaseTests::"
COMMIT = "tests/replication/test_following.py::CommitTests::"
CUT = "tests/replication/test_following.py::CutTests::"
DIVERGENCE = "tests/replication/test_truncation.py::DivergenceTests::"
ERROR = "tests/replication/test_following.py::ErrorTests::"
EXPAND = "tests/replication/test_isr_changes.py::ExpandTests::"
FETCH = "tests/replication/test_leading.py::FetchTests::"
FETCHER = "tests/replication/test_fetcher.py::FetcherTests::"
JOINING = "tests/replication/test_leading.py::WaitingForOthersTests::"
LATEST = "tests/replication/test_leading.py::LatestOffsetTests::"
MARK = "tests/replication/test_leading.py::HighWatermarkTests::"
MAXIMAL = "tests/replication/test_isr_changes.py::MaximalIsrTests::"
POSITION = "tests/replication/test_following.py::PositionTests::"
READ = "tests/replication/test_reading.py::ReadingTests::"
RECOVERY = "tests/replication/test_isr_changes.py::RecoveryTests::"
ROLE = "tests/replication/test_roles.py::RoleTests::"
LOOK = "tests/api/test_standing.py::LookTests::"
SHRINK = "tests/replication/test_isr_changes.py::ShrinkTests::"
STRICT = "tests/replication/test_acks.py::StrictAcksTests::"

CUTTING = (
    Mutant(
        "KR1", "A log is cut where it parts from the leader's, at no high watermark.", FOLLOWING,
        "offset = cut_offset(self._epochs, self.log.end_offset, divergence)", "offset = self.high_watermark",
        [f"{CUT}test_where_the_logs_part", f"{CASE}test_c_ahead_in_the_same_epoch"],
    ),
    Mutant(
        "KR1", "Nothing is thrown away because an offset is out of range, unless the leader's log begins behind it.",
        FOLLOWING,
        "if theirs > ours.end_offset or (is_empty and 0 <= theirs < ours.end_offset):",
        "if True:",
        [f"{CUT}test_out_of_range_for_no_reason"],
    ),
    Mutant(
        "KR1", "What lies before the leader's first record may be another branch, where a cut leaves nothing else.",
        FOLLOWING,
        "if self._may_be_another_branch(offset, answer.start_offset):", "if False:",
        [f"{CUT}test_another_branch_before_the_leaders_start"],
    ),
    Mutant(
        "KR7", "It may be where it ends just there, too.", FOLLOWING,
        "if self._may_be_another_branch(self.log.end_offset, answer.start_offset):", "if False:",
        [f"{CUT}test_another_branch_up_to_the_leaders_start"],
    ),
    Mutant(
        "KR27", "What is committed has one branch only, and its producers stay known.", FOLLOWING,
        "return not self._is_shown and self.high_watermark < end_offset <= start_offset",
        "return not self._is_shown and end_offset <= start_offset",
        [f"{CUT}test_committed_up_to_the_leaders_start"],
    ),
    Mutant(
        "KR27", "A log that was shown to be the leader's stays when the leader deletes all of it.", FOLLOWING,
        "        self._is_shown = True\n", "",
        [f"{CUT}test_a_log_that_was_shown_to_be_the_leaders"],
    ),
    Mutant(
        "KR1", "An answer to what was asked before means nothing.", FOLLOWING,
        "if asked != self.position:", "if False:",
        [f"{POSITION}test_answers_to_something_else"],
    ),
    Mutant(
        "KR2", "Logs that are as long may still end in records of different leaders.", TRUNCATION,
        "if epoch < last_epoch or end_offset < offset:", "if end_offset < offset:",
        [f"{CASE}test_same_offset_other_record", f"{CASE}test_f_the_leader_has_more_of_the_last_common_epoch"],
    ),
    Mutant(
        "KR2", "A log may be ahead in an epoch that both know.", TRUNCATION,
        "if epoch < last_epoch or end_offset < offset:", "if epoch < last_epoch:",
        [f"{CASE}test_c_ahead_in_the_same_epoch"],
    ),
    Mutant(
        "KR3", "The follower's own end of the epoch counts as well as the leader's.", TRUNCATION,
        "_, own_end = epochs.end_of(divergence.epoch, end_offset)", "own_end = end_offset",
        [f"{CASE}test_f_the_leader_has_more_of_the_last_common_epoch", f"{CASE}test_g_nothing_in_common",
         f"{CUT}test_an_epoch_that_we_know_less_far"],
    ),
    Mutant(
        "KR3", "The last epoch is that of the last record, whoever has led since without writing.", TRUNCATION,
        "return epochs.epoch_at(log.end_offset - 1) if log.end_offset > log.start_offset else NO_EPOCH",
        "return epochs.latest",
        [f"{DIVERGENCE}test_last_epoch"],
    ),
    Mutant(
        "KR4", "Who follows again forgets the epochs in which it wrote nothing.", FOLLOWING,
        "self.has_forgotten = not self._is_fenced and epochs.truncate_end(log.end_offset)",
        "self.has_forgotten = False",
        [f"{CASE}test_who_led_without_writing"],
    ),
    Mutant(
        "KR4", "Epochs rise within a log, and none is later than that of whoever sends it.", FOLLOWING,
        "return header.base_offset >= end_offset and self._epochs.latest <= epoch <= self.leader_epoch",
        "return header.base_offset >= end_offset",
        [f"{BATCH}test_epochs"],
    ),
    Mutant(
        "KR7", "What the leader has committed says nothing about a log that is not its own.", FOLLOWING,
        "return self._diverged(answer, answer.divergence, now_s)",
        "self._leader_high_watermark = answer.high_watermark\nself._commit()\n"
        "return self._diverged(answer, answer.divergence, now_s)",
        [f"{COMMIT}test_a_high_watermark_of_another_branch"],
    ),
    Mutant(
        "KR7", "What is cut is not committed.", FOLLOWING,
        "self.high_watermark = max(min(self.high_watermark, end_offset), start_offset)",
        "self.high_watermark = max(self.high_watermark, start_offset)",
        [f"{COMMIT}test_a_high_watermark_behind_the_cut"],
    ),
    Mutant(
        "KR7", "Nothing is committed here that is not here.", FOLLOWING,
        "self.high_watermark = max(self.high_watermark, min(self._leader_high_watermark, self.log.end_offset))",
        "self.high_watermark = max(self.high_watermark, self._leader_high_watermark)",
        [f"{COMMIT}test_no_further_than_the_log_goes", f"{COMMIT}test_records"],
    ),
    Mutant(
        "KR8", "A log that begins anew takes the high watermark along.", FOLLOWING,
        "self.high_watermark = max(min(self.high_watermark, end_offset), start_offset)",
        "self.high_watermark = min(self.high_watermark, end_offset)",
        [f"{CUT}test_the_leader_keeps_nothing_that_goes_on_from_here"],
    ),
    Mutant(
        "KR8", "So does one whose hint is older than its start.", FOLLOWING,
        "self.high_watermark = max(min(high_watermark, log.end_offset), log.start_offset)",
        "self.high_watermark = min(high_watermark, log.end_offset)",
        [f"{COMMIT}test_a_hint_before_the_start"],
    ),
)  # fmt: skip

FENCING = (
    Mutant(
        "KR5", "A leader lets nobody fetch who follows another epoch.", LEADING,
        "check_leader_epoch(fetch.leader_epoch, self._state.leader_epoch)", "pass",
        [f"{FETCH}test_another_epoch"],
    ),
    Mutant(
        "KR5", "A follower says whom it follows.", LEADING,
        "if fetch.leader_epoch == NO_EPOCH:", "if False:",
        [f"{FETCH}test_another_epoch"],
    ),
    Mutant(
        "KR5", "An older epoch is fenced.", READING,
        "if claimed < known:", "if False:",
        [f"{READ}test_epochs"],
    ),
    Mutant(
        "KR5", "A newer one is told to wait.", READING,
        "if claimed > known:", "if False:",
        [f"{READ}test_epochs"],
    ),
    Mutant(
        "KR5", "Who was fenced waits for the metadata.", FOLLOWING,
        "self._is_fenced = True", "pass",
        [f"{ERROR}test_fenced", f"{FETCHER}test_a_fenced_partition_is_left_out"],
    ),
    Mutant(
        "KR5", "Nobody is followed of an epoch before that of our own records.", FOLLOWING,
        "self._is_fenced = leader_epoch < epochs.latest", "self._is_fenced = False",
        [f"{POSITION}test_metadata_that_are_older_than_the_log"],
    ),
    Mutant(
        "KR10", "What a follower does not know to be committed is not out of range.", READING,
        'raise Refused(ErrorCode.OFFSET_NOT_AVAILABLE, f"this replica knows of nothing committed at {offset} yet")',
        "raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE)",
        [f"{READ}test_follower"],
    ),
    Mutant(
        "KR15", "Metadata about an earlier process say nothing about this one.", ROLES,
        "if known is None or known.epoch != broker_epoch:", "if known is None:",
        [f"{ROLE}test_metadata_about_another_process"],
    ),
    Mutant(
        "KR18", "An earlier process of a node fetches no more.", LEADING,
        "if fetch.broker_epoch < follower.broker_epoch or (broker is not None and fetch.broker_epoch < broker.epoch):",
        "if False:",
        [f"{FETCH}test_an_earlier_process", f"{FETCH}test_an_earlier_process_than_one_that_fetched"],
    ),
)  # fmt: skip

COMMITTING = (
    Mutant(
        "KR9", "A new leader tells no end of the log that may lie before what was told already.", LEADING,
        "if self.high_watermark < self.epoch_start_offset:", "if False:",
        [f"{LATEST}test_after_an_election"],
    ),
    Mutant(
        "KR9", "The high watermark never falls.", LEADING,
        "if committed > self.high_watermark:\n    self.high_watermark = committed", "self.high_watermark = committed",
        [f"{MARK}test_it_never_falls"],
    ),
    Mutant(
        "KR9", "Nor does a follower's, because a new leader knows less.", FOLLOWING,
        "self.high_watermark = max(self.high_watermark, min(self._leader_high_watermark, self.log.end_offset))",
        "self.high_watermark = min(self._leader_high_watermark, self.log.end_offset)",
        [f"{COMMIT}test_a_leader_that_knows_less"],
    ),
    Mutant(
        "KR11", "A record is committed with the fetch that shows it to be everywhere.", LEADING,
        "follower.fetched(fetch, self.end_offset, now_s)\nself._advance(now_s)",
        "self._advance(now_s)\nfollower.fetched(fetch, self.end_offset, now_s)",
        [f"{MARK}test_acknowledged_without_a_second_fetch"],
    ),
    Mutant(
        "KR17", "A replica that cannot join holds nothing back.", LEADING,
        "and follower.is_caught_up(self.end_offset, now_s, self._lag_max_s)\nand self._is_eligible(follower)",
        "and follower.is_caught_up(self.end_offset, now_s, self._lag_max_s)",
        [f"{JOINING}test_who_is_fenced", f"{JOINING}test_who_is_about_to_stop",
         f"{JOINING}test_who_has_registered_again"],
    ),
    Mutant(
        "KR17", "Nor does one that does not keep up.", LEADING,
        "and follower.is_caught_up(self.end_offset, now_s, self._lag_max_s)\nand self._is_eligible(follower)",
        "and self._is_eligible(follower)",
        [f"{JOINING}test_who_does_not", f"{JOINING}test_time_passes"],
    ),
    Mutant(
        "KR14", "One that does is waited for, or it could never join under a constant stream.", LEADING,
        "and follower.is_caught_up(self.end_offset, now_s, self._lag_max_s)\nand self._is_eligible(follower)",
        "and False",
        [f"{JOINING}test_who_keeps_up"],
    ),
    Mutant(
        "KR19", "Below min.insync.replicas the high watermark stands still.", LEADING,
        "if not self.has_enough:\n    return", "",
        [f"{MARK}test_it_stands_still_below_the_minimum", f"{MARK}test_the_minimum_rises"],
    ),
    Mutant(
        "KR19", "Only those who are agreed on make up that number.", LEADING,
        "return len(self._state.isr) >= self.min_isr", "return len(self.maximal_isr) >= self.min_isr",
        [f"{MARK}test_who_is_asked_for_is_not_enough"],
    ),
    Mutant(
        "KR24", "Who waits for what is not committed any more hears so at once.", ACKS,
        "return standing.high_watermark >= next_offset or _lost(policy, acks, standing) is not None",
        "return standing.high_watermark >= next_offset",
        [f"{ANSWERING}test_too_few_replicas_while_it_waits"],
    ),
    Mutant(
        "KR24", "The number of replicas is looked at once more before a produce is acknowledged.", ACKS,
        "return _lost(policy, acks, standing) or late", "return late",
        [f"{ANSWERING}test_too_few_replicas_when_it_is_answered"],
    ),
    Mutant(
        "AC1", "The strict policy takes nothing that acks=all would be refused.", ACKS,
        "self._kafka.admit(ACKS_ALL, isr_count, min_isr)", "pass",
        [f"{STRICT}test_everything_needs_replicas"],
    ),
    Mutant(
        "AC1", "With it, acks=1 waits for every in-sync replica.", ACKS,
        "return acks != ACKS_NONE", "return acks == ACKS_ALL",
        [f"{STRICT}test_whatever_is_answered_waits"],
    ),
)  # fmt: skip

CHANGING = (
    Mutant(
        "KR12", "Who was asked for counts from the moment of asking.", LEADING,
        "if node in self._state.isr or self._changes.counts(node):", "if node in self._state.isr:",
        [f"{MAXIMAL}test_from_the_moment_of_asking"],
    ),
    Mutant(
        "KR12", "An answer that does not come proves nothing.", CHANGES,
        "self._is_doubtful = True\nself._wait(now_s)", "self._joining.clear()\nself._wait(now_s)",
        [f"{MAXIMAL}test_no_answer"],
    ),
    Mutant(
        "KR12", "Nor does that of a controller which is none any more.", CHANGES,
        "if code not in NOT_DONE and code is not ErrorCode.NONE:\n    self._is_doubtful = True", "",
        [f"{MAXIMAL}test_answers_that_say_nothing"],
    ),
    Mutant(
        "KR12", "A refusal proves nothing about an earlier request that had no answer.", CHANGES,
        "if not self._is_doubtful:\n    self._joining.clear()", "self._joining.clear()",
        [f"{MAXIMAL}test_refused_after_one_without_an_answer"],
    ),
    Mutant(
        "KR13", "One request at a time.", LEADING,
        "if not self._changes.may_ask(now_s):\n    return None", "",
        [f"{MAXIMAL}test_one_in_flight"],
    ),
    Mutant(
        "KR13", "An answer to an earlier request is none to this one.", CHANGES,
        "if self._asked is not ask:\n    return", "",
        [f"{MAXIMAL}test_an_answer_that_comes_too_late"],
    ),
    Mutant(
        "KR13", "Who was overtaken waits for the metadata.", CHANGES,
        "self._is_overtaken = True\nreturn", "return",
        [f"{MAXIMAL}test_overtaken", f"{MAXIMAL}test_agreed_on"],
    ),
    Mutant(
        "KR13", "Only a later state of the partition settles what was asked for.", CHANGES,
        "if state.partition_epoch > self._state.partition_epoch:", "if True:",
        [f"{MAXIMAL}test_metadata_that_are_about_others"],
    ),
    Mutant(
        "KR13", "Doubt is ended by asking for the ISR as it is.", LEADING,
        "return self._ask(isr) if self._changes.is_unsettled else None", "return None",
        [f"{MAXIMAL}test_making_sure"],
    ),
    Mutant(
        "KR13", "The controller agrees to that with another epoch, and earlier requests are void.", ALTERING,
        "after = evolve(state, partition_epoch=state.partition_epoch + 1)", "pass",
        [f"{ALTER}test_nothing_changes"],
    ),
    Mutant(
        "KR14", "Who joins has what is committed.", LEADING,
        "follower.end_offset >= max(self.high_watermark, self.epoch_start_offset)",
        "follower.end_offset >= self.epoch_start_offset",
        [f"{EXPAND}test_who_has_what_is_committed"],
    ),
    Mutant(
        "KR14", "And everything from before this epoch, which may be committed without our knowledge.", LEADING,
        "follower.end_offset >= max(self.high_watermark, self.epoch_start_offset)",
        "follower.end_offset >= self.high_watermark",
        [f"{EXPAND}test_who_has_less_than_this_epoch_began_with"],
    ),
    Mutant(
        "KR14", "Nothing is known of a follower before it has fetched in this epoch.", FOLLOWERS,
        "self.end_offset = NO_OFFSET", "self.end_offset = 0",
        [f"{FETCH}test_a_replica_that_was_taken_away_and_came_back"],
    ),
    Mutant(
        "KR14", "A replica that was taken away and came back is a new one.", LEADING,
        "known, self.followers = self.followers, {}", "known = self.followers",
        [f"{FETCH}test_a_replica_that_was_taken_away_and_came_back"],
    ),
    Mutant(
        "KR14", "What a follower has counts as far as its log is shown to be ours.", LEADING,
        "if divergence is not None:\n    return divergence", "",
        [f"{FETCH}test_divergence"],
    ),
    Mutant(
        "KR14", "Who has enough and is silent is not asked for.", LEADING,
        "and follower.is_heard(self.end_offset, now_s, self._lag_max_s)", "",
        [f"{EXPAND}test_who_was_dropped_and_is_silent"],
    ),
    Mutant(
        "KR16", "The leader asks for nobody who is fenced or about to stop.", LEADING,
        "return broker is not None and broker.is_active and broker.epoch == follower.broker_epoch",
        "return broker is not None and broker.epoch == follower.broker_epoch",
        [f"{EXPAND}test_who_is_fenced", f"{EXPAND}test_who_is_about_to_stop"],
    ),
    Mutant(
        "KR16", "Refused, it goes back to the ISR that was agreed on last.", CHANGES,
        "if not self._is_doubtful:\n    self._joining.clear()", "",
        [f"{MAXIMAL}test_not_done"],
    ),
    Mutant(
        "KR18", "Nor for a process that is not the one which has caught up.", LEADING,
        "return broker is not None and broker.is_active and broker.epoch == follower.broker_epoch",
        "return broker is not None and broker.is_active",
        [f"{EXPAND}test_who_is_another_process_than_the_metadata_know"],
    ),
    Mutant(
        "KR18", "Who has registered again will not be taken back as who it was.", CHANGES,
        "if broker is None or broker.epoch > epoch:", "if False:",
        [f"{MAXIMAL}test_registered_again", f"{MAXIMAL}test_unregistered"],
    ),
    Mutant(
        "KR23", "Who lacks something for a moment is not late.", LEADING,
        "return follower.is_caught_up(self.end_offset, now_s, self._lag_max_s)",
        "return follower.end_offset >= self.end_offset",
        [f"{SHRINK}test_who_had_everything_a_moment_ago"],
    ),
    Mutant(
        "KR23", "Nor who has everything, however long ago it said so.", LEADING,
        "return follower.is_caught_up(self.end_offset, now_s, self._lag_max_s)",
        "return now_s - follower.caught_up_s <= self._lag_max_s",
        [f"{SHRINK}test_who_has_everything_is_never_late"],
    ),
    Mutant(
        "KR23", "Having all that there was at the last fetch is having had everything.", FOLLOWERS,
        "elif fetch.offset >= self._end_when_fetched != NO_OFFSET:", "elif False:",
        [f"{SHRINK}test_who_had_everything_a_moment_ago"],
    ),
    Mutant(
        "KR23", "Who had everything until a record came has not been late before.", LEADING,
        "follower.left_behind(self.end_offset, now_s)", "pass",
        [f"{SHRINK}test_who_has_everything_is_never_late"],
    ),
    Mutant(
        "KR23", "Who lacks something for long is late, however often it fetches.", FOLLOWERS,
        "return self.end_offset >= leader_end_offset or now_s - self.caught_up_s <= lag_max_s",
        "return self.end_offset >= leader_end_offset or now_s - self.fetched_s <= lag_max_s",
        [f"{SHRINK}test_who_reads_and_falls_behind"],
    ),
    Mutant(
        "KR23", "Who is to be dropped counts until that is agreed on.", LEADING,
        "if node in self._state.isr or self._changes.counts(node):",
        "if node in self._state.isr and not self._changes._asked or self._changes.counts(node):",
        [f"{SHRINK}test_until_it_is_agreed_on_nothing_changes"],
    ),
    Mutant(
        "KR25", "A leader that may lack records says so before anybody joins it.", LEADING,
        "if state.is_recovering:", "if False:",
        [f"{RECOVERY}test_before_anybody_joins"],
    ),
    Mutant(
        "PL2", "Who stays may lead at the end of a move, whether or not it came with it.", GUARDS,
        "is_last_of_move = must_go and change.leader in known.target",
        "is_last_of_move = must_go and change.leader in known.adding",
        [f"{ALTER}test_who_stays_after_a_move"],
    ),
)  # fmt: skip

LOOKING = (
    Mutant(
        "KR16", "A follower that has registered again says so of every partition, also of those that rest.", STANDING,
        "if broker_epoch != self._broker_epoch or now_s - self._looked_s >= LOOK_AT_ALL_S:",
        "if now_s - self._looked_s >= LOOK_AT_ALL_S:",
        [f"{LOOK}test_another_broker_epoch"],
    ),
    Mutant(
        "KR23", "To look again for a follower that waits is no word from it.", REPLICA_FETCH,
        "self._heard[wanted.key] = leadership", "pass",
        [f"{LOOK}test_whoever_waits_is_told_at_once"],
    ),
)  # fmt: skip

MUTANTS = (*CUTTING, *FENCING, *COMMITTING, *CHANGING, *LOOKING)
