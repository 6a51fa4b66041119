"""The controller's side of replication (KR12-KR22, KR25, KR30-KR32), of membership and of metadata."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

ALTERING = "streamline/cluster/altering.py"
FAILOVER = "streamline/cluster/failover.py"
GUARDS = "streamline/cluster/guards.py"
IMAGE = "streamline/cluster/image.py"
LEADERSHIP = "streamline/cluster/leadership.py"
MEMBERSHIP = "streamline/cluster/membership.py"
PLACEMENT = "streamline/cluster/placement.py"
PLANNING = "streamline/cluster/planning.py"
REASSIGNMENT = "streamline/cluster/reassignment.py"
RULES = "streamline/cluster/rules.py"
SESSIONS = "streamline/cluster/sessions.py"
SNAPSHOT = "streamline/cluster/snapshot.py"

ALTER = "tests/cluster/test_altering.py::AlterPartitionTests::"
BEAT = "tests/cluster/test_membership.py::HeartbeatTests::"
BROKER = "tests/cluster/test_image.py::BrokerTests::"
CONTENT = "tests/cluster/test_snapshot.py::SnapshotTests::"
ELECT = "tests/cluster/test_elections.py::ElectLeadersTests::"
FENCE = "tests/cluster/test_failover.py::FencingTests::"
MODEL = "tests/cluster/test_isr_model.py::IsrModelTests::test_nothing_is_lost"
MOVE = "tests/cluster/test_reassignment.py::ReassignmentTests::"
PART = "tests/cluster/test_image.py::PartitionTests::"
PLAN = "tests/cluster/test_planning.py::PlanTopicTests::"
REGISTER = "tests/cluster/test_membership.py::RegistrationTests::"
REPAIR = "tests/cluster/test_failover.py::RepairTests::"
RETURN = "tests/cluster/test_failover.py::ReturningTests::"
RULE = "tests/cluster/test_failover.py::RulesTests::"
SHUTDOWN = "tests/cluster/test_failover.py::ShutdownTests::"
SILENT = "tests/cluster/test_membership.py::SilenceTests::"
SPREAD = "tests/cluster/test_placement.py::RackSpreadTests::"
TOPIC = "tests/cluster/test_image.py::TopicTests::"
UNCLEAN = "tests/cluster/test_failover.py::UncleanTests::"

DECIDING = (
    Mutant(
        "KR13", "A leader changes the state that it knows, and no other.", ALTERING,
        "if wanted.partition_epoch < state.partition_epoch:", "if False:",
        [f"{ALTER}test_another_state"],
    ),
    Mutant(
        "KR13", "A change that was decided on another state is refused when it is applied.", GUARDS,
        "if change.partition_epoch != known.partition_epoch + 1:", "if False:",
        [f"{PART}test_change_that_comes_too_late"],
    ),
    Mutant(
        "KR5", "A leader of an earlier epoch has no say.", ALTERING,
        "if wanted.leader_epoch < state.leader_epoch:", "if False:",
        [f"{ALTER}test_another_state"],
    ),
    Mutant(
        "KR31", "A controller that knows less than the leader says so, and decides nothing.", ALTERING,
        "if wanted.leader_epoch > state.leader_epoch or wanted.partition_epoch > state.partition_epoch:", "if False:",
        [f"{ALTER}test_another_state"],
    ),
    Mutant(
        "KR13", "Only the leader speaks for a partition.", ALTERING,
        "if node != state.leader:", "if False:",
        [f"{ALTER}test_somebody_else"],
    ),
    Mutant(
        "KR15", "What an earlier process of the leader asks for is not heard.", ALTERING,
        "image.broker_at(node, broker_epoch)", "pass",
        [f"{ALTER}test_another_process_of_the_leader"],
    ),
    Mutant(
        "KR16", "Nobody joins an ISR who is fenced or shutting down.", ALTERING,
        "if not image.is_active(member.node_id):", "if member.node_id not in image.brokers:",
        [f"{ALTER}test_a_fenced_node", f"{ALTER}test_a_node_that_shuts_down"],
    ),
    Mutant(
        "KR16", "Nor who has been fenced between deciding and applying.", GUARDS,
        "if not image.is_active(node) or epochs.get(node) != image.brokers[node].epoch:",
        "if epochs.get(node) != image.brokers[node].epoch:",
        [f"{PART}test_joining"],
    ),
    Mutant(
        "KR18", "Nobody joins an ISR as another process than the one that had caught up.", ALTERING,
        "if image.brokers[member.node_id].epoch != member.broker_epoch:", "if False:",
        [f"{ALTER}test_another_process_of_a_node", MODEL],
    ),
    Mutant(
        "KR18", "Nor as one that has registered between deciding and applying.", GUARDS,
        "if not image.is_active(node) or epochs.get(node) != image.brokers[node].epoch:",
        "if not image.is_active(node):",
        [
            f"{PART}test_joining_after_another_registration",
            f"{ALTER}test_registered_again_between_deciding_and_agreeing",
        ],
    ),
    Mutant(
        "KR16", "A broker that is fenced or shutting down is no candidate.", "streamline/model.py",
        "return not self.fenced and not self.shutting_down", "return not self.fenced",
        [f"{FENCE}test_shutting_down_nodes_are_not_elected", f"{ALTER}test_a_node_that_shuts_down"],
    ),
    Mutant(
        "KR20", "Who leaves an ISR that may not commit stays eligible.", LEADERSHIP,
        "for node in _once(before.elr + before.isr)", "for node in before.elr",
        [f"{FENCE}test_below_min_isr_they_stay_eligible", f"{ALTER}test_shrink"],
    ),
    Mutant(
        "KR20", "Who was eligible before stays so.", LEADERSHIP,
        "for node in _once(before.elr + before.isr)", "for node in before.isr",
        [f"{FENCE}test_below_min_isr_they_stay_eligible"],
    ),
    Mutant(
        "KR20", "Nobody is eligible beside an ISR that commits without him.", LEADERSHIP,
        "if len(isr) >= quorum_of(aim.min_isr, replicas):", "if False:",
        [f"{FENCE}test_at_min_isr_nobody_is_kept", f"{ALTER}test_grow_again"],
    ),
    Mutant(
        "KR20", "A change that leaves him eligible all the same is refused.", GUARDS,
        "if change.elr and len(change.isr) >= quorum_of(rules_of(image, topic.name).min_isr, change.replicas):",
        "if False:",
        [f"{PART}test_eligible_without_need"],
    ),
    Mutant(
        "PL2", "A partition of fewer replicas than min.insync.replicas needs them all.", "streamline/model.py",
        "return min(min_isr, len(replicas))", "return min_isr",
        [f"{MOVE}test_to_fewer_than_min_isr"],
    ),
    Mutant(
        "KR20", "With a smaller min.insync.replicas, claims end in the same moment.", FAILOVER,
        "return [command, *changes(changed, lambda state, rules: _resettled(changed, state, rules, state.isr), only)]",
        "return [command]",
        [f"{RULE}test_a_smaller_quorum_ends_claims", f"{RULE}test_for_the_whole_cluster"],
    ),
    Mutant(
        "KR20", "Or the setting does not change.", GUARDS,
        "return bool(state.elr) and len(state.isr) >= quorum_of(min_isr, state.replicas)", "return False",
        [f"{RULE}test_not_without_that"],
    ),
    Mutant(
        "KR20", "An eligible replica is elected where no member of the ISR can be.", LEADERSHIP,
        "pool = _able(isr, aim) or _able(elr, aim)", "pool = _able(isr, aim)",
        [f"{RETURN}test_from_the_elr"],
    ),
    Mutant(
        "KR21", "Who may have lost records is not eligible.", LEADERSHIP,
        "if node in replicas and node not in isr and node not in aim.lost", "if node in replicas and node not in isr",
        [f"{UNCLEAN}test_it_leaves_the_isr_and_the_elr", f"{REGISTER}test_after_any_other_end"],
    ),
    Mutant(
        "KR21", "He leaves the ELR also of partitions in whose ISR he is not.", FAILOVER,
        "counts = node in state.isr or node == state.leader or (lost and node in state.elr)",
        "counts = node in state.isr or node == state.leader",
        [f"{UNCLEAN}test_it_leaves_the_isr_and_the_elr", f"{UNCLEAN}test_unregistered"],
    ),
    Mutant(
        "KR21", "A registration that leaves him eligible anywhere is refused.", GUARDS,
        "if is_spoilt and (node in state.isr or node in state.elr):", "if False:",
        [f"{PART}test_an_unclean_registration_leaves_the_elr"],
    ),
    Mutant(
        "KR21", "A stop was clean if the broker epoch of then was written down last of all.", MEMBERSHIP,
        "return wanted.previous_epoch == known.epoch or wanted.incarnation_id == known.incarnation_id", "return True",
        [f"{REGISTER}test_after_any_other_end", MODEL],
    ),
    Mutant(
        "RF15", "A new disk has nothing, whatever was written down.", MEMBERSHIP,
        "if known is None or known.directory_id != wanted.directory_id:", "if known is None:",
        [f"{REGISTER}test_with_another_disk"],
    ),
    Mutant(
        "KR22", "Who had everything before is known, for when all others have lost theirs.", LEADERSHIP,
        "known = _once(before.last_known_elr + lost)", "known = lost",
        [f"{UNCLEAN}test_it_is_known_until_it_is_in_sync_again"],
    ),
    Mutant(
        "KR25", "Nobody who may lack records is elected unless the topic allows it.", FAILOVER,
        "election=Election.UNCLEAN if unclean and rules.unclean else Election.CLEAN,",
        "election=Election.UNCLEAN,",
        [f"{FENCE}test_not_unclean", f"{SHUTDOWN}test_not_to_who_may_lack_records"],
    ),
    Mutant(
        "KR25", "Not for a broker that stops in order, either.", FAILOVER,
        "election=Election.UNCLEAN if unclean and rules.unclean else Election.CLEAN,",
        "election=Election.UNCLEAN if rules.unclean else Election.CLEAN,",
        [f"{SHUTDOWN}test_not_to_who_may_lack_records"],
    ),
    Mutant(
        "KR25", "Nor when another broker comes back.", FAILOVER,
        "election=Election.UNCLEAN if rules.unclean else Election.CLEAN,", "election=Election.UNCLEAN,",
        [f"{RETURN}test_who_may_lack_records_waits"],
    ),
    Mutant(
        "KR25", "A change that elects such a one without saying so is refused.", GUARDS,
        "if not (change.is_recovering or is_last_of_move or change.leader in (*known.isr, *known.elr)):", "if False:",
        [f"{PART}test_leader_that_may_lack_records"],
    ),
    Mutant(
        "KR25", "An unclean election is marked until the leader has come to terms with it.", LEADERSHIP,
        "is_recovering=is_unclean or (state.is_recovering and not aim.has_recovered),",
        "is_recovering=state.is_recovering and not aim.has_recovered,",
        [f"{RETURN}test_a_lone_replica_leads_whatever_it_has_lost"],
    ),
    Mutant(
        "KR5", "A new leader is of a new epoch.", LEADERSHIP,
        "is_new = after.leader != before.leader or any(node not in after.replicas for node in before.replicas)",
        "is_new = any(node not in after.replicas for node in before.replicas)",
        [f"{FENCE}test_leader_goes"],
    ),
    Mutant(
        "KR5", "A change with a new leader in the old epoch is refused.", GUARDS,
        "and change.leader_epoch >= known.leader_epoch + (change.leader != known.leader)", "",
        [f"{PART}test_nonsense"],
    ),
    Mutant(
        "KR16", "A leader that is not there any more is not elected.", GUARDS,
        "if not image.is_active(change.leader):", "if False:",
        [f"{PART}test_leader_that_was_never_there"],
    ),
    Mutant(
        "KR16", "Who is fenced leaves every ISR in the same moment.", GUARDS,
        "return node in state.isr or node == state.leader", "return False",
        [f"{PART}test_fencing_leaves_nothing_behind"],
    ),
    Mutant(
        "KR20", "Who comes back leads what waits for him in the same moment.", GUARDS,
        "return state.leader == NO_LEADER and (node in state.isr or node in state.elr)", "return False",
        [f"{PART}test_coming_back_to_what_waits"],
    ),
    Mutant(
        "KR20", "Nobody gives a partition up while somebody can lead it.", GUARDS,
        "if change.leader == NO_LEADER and any(image.is_active(node) for node in (*change.isr, *change.elr)):",
        "if False:",
        [f"{PART}test_giving_up_what_somebody_can_lead"],
    ),
    Mutant(
        "KR16", "A new partition begins with those who are there.", GUARDS,
        "for node in placed.isr:", "for node in ():",
        [f"{TOPIC}test_create_on_nodes_that_have_gone"],
    ),
    Mutant(
        "KR31", "A new controller makes up for what the last one did not get done.", FAILOVER,
        "isr = tuple(node for node in state.isr if image.is_active(node))", "isr = state.isr",
        [f"{REPAIR}test_overdue"],
    ),
    Mutant(
        "PL2", "A move ends once all who come are in sync.", LEADERSHIP,
        "is_done = all(node in isr for node in move.adding) and len(staying) >= max(1, quorum_of(min_isr, replicas))",
        "is_done = len(staying) >= max(1, quorum_of(min_isr, replicas))",
        [f"{MOVE}test_not_before_all_are_in_sync"],
    ),
    Mutant(
        "PL2", "And enough of those who stay, for them to commit.", LEADERSHIP,
        "is_done = all(node in isr for node in move.adding) and len(staying) >= max(1, quorum_of(min_isr, replicas))",
        "is_done = all(node in isr for node in move.adding) and len(staying) >= 1",
        [f"{MOVE}test_not_below_min_isr"],
    ),
    Mutant(
        "PL2", "A move that leaves nobody in sync is refused.", REASSIGNMENT,
        "if state.isr and not any(node in move.replicas for node in state.isr):", "if False:",
        [f"{MOVE}test_cancel_would_leave_nobody"],
    ),
    Mutant(
        "PL2", "A replica that goes for good hears of it by a new epoch.", LEADERSHIP,
        "is_new = after.leader != before.leader or any(node not in after.replicas for node in before.replicas)",
        "is_new = after.leader != before.leader",
        [f"{MOVE}test_a_follower_goes"],
    ),
)

BELONGING = (
    Mutant(
        "KR15", "Nobody registers while another process of that id is heard of.", MEMBERSHIP,
        "    known.node_id, known.epoch, now\n", "    known.node_id, -1, now\n",
        [f"{REGISTER}test_while_the_other_is_heard_of"],
    ),
    Mutant(
        "KR15", "A broker is fenced until it has caught up.", MEMBERSHIP,
        "command = _command(wanted, is_clean, fenced=True)", "command = _command(wanted, is_clean, fenced=False)",
        [f"{REGISTER}test_a_new_node", f"{REGISTER}test_it_begins_fenced"],
    ),
    Mutant(
        "KR15", "Caught up is who has applied his own registration.", MEMBERSHIP,
        "is_ready = not beat.wants_fence and beat.metadata_index >= broker.epoch", "is_ready = not beat.wants_fence",
        [f"{BEAT}test_unfenced_once_caught_up"],
    ),
    Mutant(
        "KR15", "A broker epoch is the index of a registration.", IMAGE,
        "epoch=index,", "epoch=0,",
        [f"{BROKER}test_register"],
    ),
    Mutant(
        "KR15", "What was decided about one process does not happen to the next, and its heartbeats do not count.",
        IMAGE,
        "if broker.epoch != epoch:", "if False:",
        [f"{BROKER}test_change_of_an_earlier_process", f"{BEAT}test_strangers"],
    ),
    Mutant(
        "KR15", "A crash that is told late says nothing about the next process.", MEMBERSHIP,
        "if broker is None or broker.epoch != epoch:", "if broker is None:",
        [f"{SILENT}test_a_crash_of_an_earlier_process"],
    ),
    Mutant(
        "KR15", "A session is of one registration.", SESSIONS,
        "if session is None or session.epoch != epoch:", "if session is None:",
        [f"{SILENT}test_a_session_is_of_one_registration"],
    ),
    Mutant(
        "KR15", "A broker of another cluster is refused.", MEMBERSHIP,
        "if wanted.cluster_id != image.cluster_id:", "if False:",
        [f"{REGISTER}test_another_cluster"],
    ),
    Mutant(
        "RF18", "A controller that stood still itself gives everybody more time.", SESSIONS,
        "session.heard_at = max(session.heard_at, now - self._timeout_s / 2)", "pass",
        [f"{SILENT}test_a_controller_that_was_away_itself"],
    ),
    Mutant(
        "KR31", "After an election everybody has half a time-out.", SESSIONS,
        "heard_at = now - self._timeout_s / 2", "heard_at = now - self._timeout_s",
        [f"{SILENT}test_everybody_has_time_after_an_election"],
    ),
    Mutant(
        "KR32", "Leaders move before a broker stops.", FAILOVER,
        "return [_changed(broker, fenced=broker.fenced, shutting_down=True), *departures(image, node)]",
        "return [_changed(broker, fenced=broker.fenced, shutting_down=True)]",
        [f"{SHUTDOWN}test_leaders_move", f"{BEAT}test_stopping"],
    ),
    Mutant(
        "KR32", "It waits until all others have heard of that.", MEMBERSHIP,
        "return all(sessions.metadata_index(other) >= heard for other in others)", "return True",
        [f"{BEAT}test_stopping"],
    ),
    Mutant(
        "KR32", "And for nothing that came later.", SESSIONS,
        "if session.departing_at is None:", "if True:",
        [f"{BEAT}test_what_comes_later_is_not_waited_for"],
    ),
    Mutant(
        "KR15", "Partitions are placed on nodes that are there.", PLANNING,
        "return {broker.node_id: broker.rack for broker in image.brokers.values() if broker.is_active}",
        "return {broker.node_id: broker.rack for broker in image.brokers.values()}",
        [f"{PLAN}test_fenced_nodes_get_nothing", f"{PLAN}test_nodes_that_shut_down_get_nothing"],
    ),
    Mutant(
        "KR30", "A topic of the same name and another id is another topic.", "streamline/cluster/delta.py",
        "known = old.partitions if old is not None and old.topic_id == new.topic_id else ()",
        "known = old.partitions if old is not None else ()",
        ["tests/cluster/test_delta.py::DeltaTests::test_a_topic_made_again"],
    ),
    Mutant(
        "KR31", "Of two that make one topic at once, the second is refused, on every node alike.", IMAGE,
        "if command.name in image.topics:", "if False:",
        [f"{TOPIC}test_create_what_is_there"],
    ),
    Mutant(
        "RF12", "A snapshot that is cut short is no smaller cluster.", SNAPSHOT,
        "if len(heads) != 1 or len(ends) != 1 or last is not ends[0] or last.records != count - 1:",
        "if len(heads) != 1:",
        [f"{CONTENT}test_missing_records"],
    ),
    Mutant(
        "PL1", "Replicas are in different racks as far as these go.", PLACEMENT,
        "key=lambda other: (used[self._racks[other]], self._replicas[other], self._pairs[leader, other]),",
        "key=lambda other: (self._replicas[other], self._pairs[leader, other]),",
        [f"{SPREAD}test_a_small_rack_is_not_passed_over", f"{SPREAD}test_even_and_apart"],
    ),
    Mutant(
        "PL1", "What a node leads is followed by all others in turn.", PLACEMENT,
        "key=lambda other: (used[self._racks[other]], self._replicas[other], self._pairs[leader, other]),",
        "key=lambda other: used[self._racks[other]],",
        [f"{SPREAD}test_what_a_node_led_is_spread"],
    ),
)

MUTANTS = (*DECIDING, *BELONGING)
