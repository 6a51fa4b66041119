"""Groups: the coordinator's rules (KR29), generations, sessions, static members, offsets."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

SHARDS = "streamline/services/shards.py"
COORDINATORS = "streamline/services/coordinators.py"
LOADING = "streamline/services/loading.py"
SHARD = "streamline/groups/shard.py"
OFFSETS = "streamline/groups/offsets.py"
JOINING = "streamline/groups/joining.py"
REBALANCING = "streamline/groups/rebalancing.py"
SYNCING = "streamline/groups/syncing.py"
STORING = "streamline/groups/storing.py"
GROUP = "streamline/groups/group.py"
CLASSIC = "streamline/groups/classic.py"
MEMBERS = "streamline/groups/members.py"

FENCING = "tests/services/test_coordinators.py::FencingTests::"
LOAD = "tests/services/test_coordinators.py::LoadingTests::"
READ = "tests/services/test_loading.py::LoadingTests::"
WRITING = "tests/services/test_shards.py::WritingTests::"
DELETING = "tests/services/test_shards.py::DeletingTests::"
HOUSE = "tests/services/test_coordinators.py::HousekeepingTests::"
COMMIT = "tests/groups/test_offsets.py::CommitTests::"
FIND = "tests/groups/test_offsets.py::FindTests::"
EXPIRY = "tests/groups/test_offsets.py::ExpiryTests::"
JOIN = "tests/groups/test_joining.py::"
REBALANCE = "tests/groups/test_rebalancing.py::"
SYNC = "tests/groups/test_syncing.py::"
LIVE = "tests/groups/test_liveness.py::"
STATIC = "tests/groups/test_static_members.py::StaticMemberTests::"

COORDINATING = (
    Mutant(
        "KR29",
        "A commit is an append in the epoch that the coordinator was elected in.",
        SHARDS,
        "if self._replicas.leading(OFFSETS_TOPIC, self.index).state.leader_epoch != self.leader_epoch:",
        "if False:",
        [f"{FENCING}test_commit_under_an_epoch_that_is_over"],
    ),
    Mutant(
        "KR29",
        "A coordinator that is elected again reads the log again.",
        COORDINATORS,
        "if topic_id != self._topic_id or index not in led or led[index].leader_epoch != shard.leader_epoch",
        "if topic_id != self._topic_id or index not in led",
        [f"{FENCING}test_elected_twice_in_a_row"],
    ),
    Mutant(
        "KR29",
        "The groups of a topic made anew are not those of the old one.",
        COORDINATORS,
        "if topic_id != self._topic_id or index not in led or led[index].leader_epoch != shard.leader_epoch",
        "if index not in led or led[index].leader_epoch != shard.leader_epoch",
        [f"{FENCING}test_topic_replaced_at_one_stroke"],
    ),
    Mutant(
        "KR29",
        "COORDINATOR_LOAD_IN_PROGRESS is answered until the log is read.",
        SHARDS,
        "self._error = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS",
        "self._error = ErrorCode.NONE",
        [f"{LOAD}test_requests_are_put_off_meanwhile"],
    ),
    Mutant(
        "KR29",
        "The log is read up to its end, once that is committed.",
        LOADING,
        "if partition.high_watermark < end_offset:\n    await partition.when_committed(end_offset)",
        "",
        [f"{LOAD}test_it_waits_for_what_is_not_committed_yet"],
    ),
    Mutant(
        "KR29",
        "A leadership that ends while its log is read begins nothing.",
        SHARDS,
        "if self.is_closed:\n    return\nself._partition = partition",
        "self._partition = partition",
        [f"{LOAD}test_leadership_that_ends_with_nothing_left_to_read"],
    ),
    Mutant(
        "KR29",
        "Whoever waits at a coordinator that is one no longer is sent to look for the new one.",
        SHARDS,
        "self._carry_out(self.groups.unloaded(self._clock.wall_ms()))",
        "",
        [f"{FENCING}test_another_node_is_elected", f"{FENCING}test_no_timer_is_left"],
    ),
    Mutant(
        "KR29",
        "A partition that is lost while it is read is not taken for read.",
        LOADING,
        "if partition.offline is not None:\n    raise Refused(partition.offline.code, partition.offline.message)",
        "",
        [f"{READ}test_partition_that_is_lost_meanwhile"],
    ),
    Mutant(
        "KR29",
        "A record that is not understood takes the groups away from nobody.",
        LOADING,
        "except (ProtocolError, Refused) as error:",
        "except ZeroDivisionError as error:",
        [f"{READ}test_only_records_that_are_understood", f"{LOAD}test_records_that_are_not_understood_are_passed_over"],
    ),
    Mutant(
        "GR1",
        "A commit is answered, and found, once every in-sync replica has it.",
        SHARDS,
        "if self._partition.is_settled(receipt, ACKS_ALL):",
        "if True:",
        [f"{WRITING}test_commit_waits_for_the_replicas", f"{WRITING}test_assignment_waits_for_the_replicas"],
    ),
    Mutant(
        "GR1",
        "A commit that takes too long is refused in time.",
        SHARDS,
        "deadline = self._deadlines.after(self._config.offsets_commit_timeout_ms / 1000, late)",
        "deadline = self._deadlines.after(1e9, late)",
        [f"{WRITING}test_commit_that_takes_too_long", f"{WRITING}test_assignment_that_takes_too_long"],
    ),
    Mutant(
        "GR1",
        "It is answered once, whatever comes of it later.",
        SHARDS,
        "told, self._told = self._told, None",
        "told = self._told",
        [f"{WRITING}test_commit_that_takes_too_long"],
    ),
    Mutant(
        "GR1",
        "A group that could not be deleted in the log keeps its offsets.",
        SHARD,
        "if isinstance(entry, OffsetEntry):\n    self._offsets.give_up(entry)\n"
        "if self._offsets.has_any(entry.group_id) and entry.group_id not in self._groups:\n"
        "    self._simple_group(entry.group_id, 0)",
        "if isinstance(entry, OffsetEntry):\n    self._offsets.give_up(entry)",
        [f"{DELETING}test_delete_that_fails"],
    ),
    Mutant(
        "GR1",
        "Large decisions are written in several batches, and told when the last of them is.",
        SHARDS,
        "if len(outcomes) == len(firsts):",
        "if len(outcomes) == 1:",
        [f"{DELETING}test_large_group_is_deleted_in_several_batches"],
    ),
)

GENERATIONS = (
    Mutant(
        "GR2",
        "An assignment is told to nobody before the log has it.",
        SYNCING,
        "group.park_sync(member, request.token)",
        "group.park_sync(member, request.token)\ngroup.answer_sync(member, group.synced(member))",
        [f"{SYNC}AssignmentTests::test_nothing_is_told_before_it_is_stored"],
    ),
    Mutant(
        "GR2",
        "An assignment that the log did not take sends everybody back.",
        STORING,
        "reject_syncs(group, told)\nprepare(group)",
        "pass",
        [f"{SYNC}StoreFailureTests::test_everybody_hears_a_coordinators_error_and_rejoins"],
    ),
    Mutant(
        "GR2",
        "An assignment of a generation that is over is nobody's.",
        STORING,
        "if not _awaits_assignment(group, pending):\n    return",
        "",
        [f"{REBALANCE}ConcurrentRebalanceTests::test_rebalance_while_the_assignment_is_being_stored"],
    ),
    Mutant(
        "GR2",
        "A leader that repeats itself stores one assignment.",
        SYNCING,
        "if group.roster.leader_id == member.member_id and not _is_storing(group):",
        "if group.roster.leader_id == member.member_id:",
        [f"{SYNC}AssignmentTests::test_leader_that_repeats_itself_stores_once"],
    ),
    Mutant(
        "GR2",
        "Requests of another generation are refused.",
        GROUP,
        "if error is ErrorCode.NONE and generation_id != self.generation_id:",
        "if False:",
        [f"{SYNC}RefusalTests::test_other_generation", f"{COMMIT}test_member_of_another_generation"],
    ),
    Mutant(
        "GR2",
        "A new generation begins when all have rejoined, or their time is up.",
        REBALANCING,
        "elif group.roster.all_joined:\n    complete(group)\nelse:\n"
        "    group.arm(group.join_timer, group.roster.rebalance_timeout_ms)",
        "else:\n    complete(group)",
        [f"{REBALANCE}RebalanceTests::test_newcomer_waits_until_all_have_rejoined"],
    ),
    Mutant(
        "GR2",
        "Whoever has not rejoined by then is out.",
        REBALANCING,
        "for member in group.roster.laggards:\n    group.dismiss(member)",
        "",
        [f"{REBALANCE}RebalanceTests::test_laggard_is_removed_when_the_rebalance_times_out"],
    ),
    Mutant(
        "GR2",
        "The leader is somebody who has rejoined.",
        REBALANCING,
        "elif group.roster.elect_joined_leader():",
        "elif True:",
        [f"{REBALANCE}NobodyJoinsTests::test_the_wait_is_repeated_at_a_bounded_rate"],
    ),
    Mutant(
        "GR2",
        "A member that never asks for its assignment is out.",
        REBALANCING,
        "group.arm(group.sync_timer, group.roster.rebalance_timeout_ms)",
        "",
        [f"{SYNC}SyncWaitTests::test_leader_that_never_assigns_is_removed"],
    ),
    Mutant(
        "GR2",
        "A protocol is chosen that all members support.",
        MEMBERS,
        "choice = next(offer.name for offer in member.protocols if self._is_common(offer.name))",
        "choice = next(offer.name for offer in member.protocols)",
        [f"{JOIN}ProtocolVoteTests::test_only_what_all_support_can_win"],
    ),
    Mutant(
        "GR2",
        "Nobody comes in who shares no protocol with all.",
        JOINING,
        "return request.protocol_type == group.protocol_type and group.roster.supports_any(request.protocols)",
        "return request.protocol_type == group.protocol_type",
        [f"{JOIN}RefusalTests::test_no_protocol_in_common_with_all"],
    ),
    Mutant(
        "GR2",
        "A leader that rejoins a stable group causes a rebalance: topics may have changed.",
        JOINING,
        "if settled and not leads_stable and member.protocols == request.protocols:",
        "if settled and member.protocols == request.protocols:",
        [f"{JOIN}RejoinTests::test_leader_of_a_stable_group_causes_a_rebalance"],
    ),
    Mutant(
        "GR2",
        "The first wait of a group is extended for those who come during it (KIP-134).",
        REBALANCING,
        "if left_ms and group.newcomers:",
        "if False:",
        [f"{REBALANCE}InitialDelayTests::test_each_round_with_a_newcomer_adds_one"],
    ),
    Mutant(
        "GR3",
        "A member that is silent for its session is out.",
        CLASSIC,
        "group.dismiss(member)\nprepare_or_complete(group)",
        "pass",
        [
            f"{REBALANCE}RebalanceTests::test_silent_laggard_ends_the_wait_early",
            "tests/api/test_groups.py::SessionTests::test_silent_member_is_removed",
        ],
    ),
    Mutant(
        "GR3",
        "A heartbeat keeps it in.",
        CLASSIC,
        "group.renew_session(group.roster.members[request.member_id])",
        "",
        [f"{LIVE}HeartbeatTests::test_it_keeps_a_member_alive"],
    ),
    Mutant(
        "GR3",
        "So does a commit.",
        CLASSIC,
        "member = group.roster.members.get(member_id)\nif member is not None:\n    group.renew_session(member)",
        "",
        [f"{LIVE}HeartbeatTests::test_commit_keeps_a_member_alive_too"],
    ),
    Mutant(
        "GR3",
        "A member that waits for an answer is not silent.",
        CLASSIC,
        "if member.is_waiting:\n    # Its session is counted anew when it is answered.\n    return",
        "",
        [f"{REBALANCE}ConcurrentRebalanceTests::test_sessions_do_not_end_while_a_member_waits_for_the_others"],
    ),
    Mutant(
        "GR3",
        "Sessions begin anew when a coordinator has loaded the group.",
        CLASSIC,
        "for member in group.roster.members.values():\n    group.renew_session(member)\n"
        "if len(group.roster) > group.config.group_max_size:",
        "if len(group.roster) > group.config.group_max_size:",
        [f"{REBALANCE}LoadTests::test_sessions_begin_with_the_load"],
    ),
    Mutant(
        "GR3",
        "An id that was given out and never used is taken back (KIP-394).",
        JOINING,
        "group.arm(group.session_timer(member_id), request.session_timeout_ms)",
        "",
        [f"{JOIN}FirstJoinTests::test_unused_id_is_forgotten_after_its_session"],
    ),
    Mutant(
        "GR3",
        "No more ids are given out than that.",
        JOINING,
        "while len(pending) >= MAX_PENDING_MEMBERS:\n    group.forget_pending(next(iter(pending)))",
        "",
        [f"{JOIN}FirstJoinTests::test_ids_given_out_are_bounded"],
    ),
    Mutant(
        "GR3",
        "A group is no larger than group.max.size.",
        JOINING,
        "return member is not None or len(roster) < limit",
        "return True",
        [f"{JOIN}SizeTests::test_full_stable_group_turns_new_ones_away"],
    ),
)

STATIC_MEMBERS = (
    Mutant(
        "GR4",
        "A static member that comes back fences the one before (KIP-345).",
        MEMBERS,
        "if owner != member_id:\n    return ErrorCode.FENCED_INSTANCE_ID",
        "",
        [f"{STATIC}test_the_one_before_is_fenced"],
    ),
    Mutant(
        "GR4",
        "It disturbs nobody in a stable group.",
        JOINING,
        "if group.state is GroupState.STABLE and group.roster.select_protocol() == group.protocol:",
        "if False:",
        [f"{STATIC}test_restarted_follower_disturbs_nobody"],
    ),
    Mutant(
        "GR4",
        "Unless it likes another protocol now.",
        JOINING,
        "if group.state is GroupState.STABLE and group.roster.select_protocol() == group.protocol:",
        "if group.state is GroupState.STABLE:",
        [f"{STATIC}test_restart_with_other_tastes_causes_a_rebalance"],
    ),
    Mutant(
        "GR4",
        "A new id that the log did not take is taken back.",
        STORING,
        "group.roster.rename(member, before.member_id)",
        "",
        [f"{STATIC}test_new_id_that_cannot_be_stored_is_taken_back"],
    ),
    Mutant(
        "GR4",
        "A static leader that comes back is told not to assign anew (KIP-814).",
        STORING,
        "answer = evolve(group.joined(member), skip_assignment=leads)",
        "answer = group.joined(member)",
        [f"{STATIC}test_restarted_leader_leads_without_assigning_anew"],
    ),
    Mutant(
        "GR4",
        "A static member stays through a rebalance that it missed.",
        MEMBERS,
        "return [member for member in self.members.values() if member.joining is None and member.instance_id is None]",
        "return [member for member in self.members.values() if member.joining is None]",
        [f"{STATIC}test_keeps_its_place_through_a_rebalance_that_it_missed"],
    ),
    Mutant(
        "GR4",
        "The leader is the one whom the log names.",
        CLASSIC,
        "group.roster.leader_id = metadata.leader_id",
        "pass",
        [f"{STATIC}test_leader_that_is_not_the_oldest_still_leads_after_a_load"],
    ),
)

COMMITTED = (
    Mutant(
        "GR5",
        "Of commits in one partition, the one that the log has last counts.",
        SHARDS,
        "for entry in entries:\n    self.groups.applied(entry)",
        "for entry in reversed(entries):\n    pass",
        [f"{WRITING}test_commits_count_in_the_order_of_the_log"],
    ),
    Mutant(
        "GR5",
        "A commit that the log did not take is not found.",
        OFFSETS,
        "counts = self._writing.setdefault(entry.group_id, {})",
        "counts = self._writing.setdefault(entry.group_id, {})\nself._groups.setdefault(entry.group_id, {})"
        "[entry.partition] = entry.committed  # type: ignore[assignment]",
        [f"{FIND}test_not_before_the_log_has_it", f"{FIND}test_what_the_log_did_not_take_is_not_found"],
    ),
    Mutant(
        "GR5",
        "Strangers do not commit while a group has members.",
        CLASSIC,
        "if not named:\n    return ErrorCode.UNKNOWN_MEMBER_ID",
        "if not named:\n    return ErrorCode.NONE",
        [f"{COMMIT}test_somebody_outside_while_there_are_members"],
    ),
    Mutant(
        "GR5",
        "A generation of a group that nobody knows is refused.",
        SHARD,
        "if commit.knows_group_id_not_found:\n    return ErrorCode.GROUP_ID_NOT_FOUND\n"
        "return ErrorCode.ILLEGAL_GENERATION",
        "return ErrorCode.NONE",
        [f"{COMMIT}test_generation_of_a_group_that_nobody_knows"],
    ),
    Mutant(
        "GR5",
        "Metadata has a bound.",
        OFFSETS,
        "if _is_longer(metadata, metadata_max):",
        "if False:",
        ["tests/groups/test_offsets.py::MetadataTests::test_limit_is_a_setting"],
    ),
    Mutant(
        "GR6",
        "Offsets of a working consumer do not expire while it subscribes to the topic (KIP-211).",
        OFFSETS,
        "if partition.topic in in_use:\n    continue",
        "",
        [f"{EXPIRY}test_working_group_keeps_what_it_subscribes_to"],
    ),
    Mutant(
        "GR6",
        "Nor while its subscriptions cannot be told.",
        SHARD,
        "if subscribed is None:\n    return []",
        "if subscribed is None:\n    subscribed = in_use",
        [
            f"{EXPIRY}test_group_whose_subscriptions_are_unknown_keeps_all",
            f"{EXPIRY}test_group_in_a_rebalance_keeps_all",
        ],
    ),
    Mutant(
        "GR6",
        "A group that was left expires from then on, not from its commits.",
        SHARD,
        "since_ms = group.state_timestamp_ms if group.state_timestamp_ms >= 0 else None",
        "since_ms = None",
        [f"{EXPIRY}test_offsets_of_a_left_group_expire_from_when_it_was_left"],
    ),
    Mutant(
        "GR6",
        "A commit on its way to the log is not forgotten with the rest.",
        SHARD,
        "if self._offsets.is_writing(group_id):",
        "if False:",
        [f"{EXPIRY}test_commit_on_its_way_to_the_log_is_not_forgotten"],
    ),
    Mutant(
        "GR6",
        "Nothing is forgotten before the log has it that it is.",
        SHARDS,
        "self._write_all(self.groups.expire(self._clock.wall_ms()), self._forgotten)",
        "for entry in self.groups.expire(self._clock.wall_ms()):\n    self.groups.applied(entry)",
        [f"{HOUSE}test_failed_expiry_is_tried_again"],
    ),
    Mutant(
        "KR30",
        "An offset of a topic that was made anew is not found.",
        OFFSETS,
        "if committed is None or _is_other_topic(committed.topic_id, topic_id):",
        "if committed is None:",
        [
            f"{FIND}test_topic_made_anew_has_no_offsets",
            "tests/api/test_offsets.py::DurabilityTests::test_offset_of_an_earlier_topic_is_passed_over",
        ],
    ),
    Mutant(
        "KR30",
        "Offsets of a deleted topic are forgotten.",
        COORDINATORS,
        "shard.topics_deleted(gone)",
        "pass",
        ["tests/api/test_offsets.py::DurabilityTests::test_group_of_a_deleted_topic_is_empty"],
    ),
)

MUTANTS = (*COORDINATING, *GENERATIONS, *STATIC_MEMBERS, *COMMITTED)
