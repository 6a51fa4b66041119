"""What moves: partitions that all have lost (KR22), members, brokers that go for good, and throttled copies."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

FAILOVER = "streamline/cluster/failover.py"
JOINING = "streamline/cluster/joining.py"
LOG_INFO = "streamline/services/log_info.py"
QUORUM = "streamline/api/quorum.py"
RECOVERING = "streamline/services/recovering.py"
RECOVERY = "streamline/cluster/recovery.py"
ROOM = "streamline/net/cluster.py"

AGREEMENT = "tests/cluster/test_joining.py::AgreementTests::"
AWAITED = "tests/cluster/test_recovery.py::WaitingTests::"
MODEL = "tests/cluster/test_isr_model.py::IsrModelTests::test_nothing_is_lost"
POWER = "tests/api/test_recovery.py::PowerCutTests::"
QUORUM_TESTS = "tests/api/test_quorum.py::QuorumTests::"
RECOVER = "tests/cluster/test_recovery.py::BestTests::"
RETURN = "tests/api/test_members.py::ReturningTests::"
UNREGISTERING = "tests/cluster/test_failover.py::UnregisteringTests::"

RECOVERIES = (
    Mutant(
        "KR22", "Nobody is elected before all of them were asked.", RECOVERY,
        "missing += [node for node in loss.asked if node not in said and (patient or _is_needed(image, state, node))]",
        "",
        [f"{AWAITED}test_not_before_all_were_asked", f"{AWAITED}test_others_are_waited_for_with_patience",
         f"{AWAITED}test_an_answer_of_an_earlier_process"],
    ),
    Mutant(
        "KR22", "Nor before all of them are there.", RECOVERY,
        "missing = [*loss.awaited, *(loss.hoped_for if patient else ())]",
        "missing = [*(loss.hoped_for if patient else ())]",
        [f"{AWAITED}test_not_before_all_are_there", MODEL],
    ),
    Mutant(
        "KR22", "Those that had fallen behind are waited for as long as the setting says.", RECOVERY,
        "missing = [*loss.awaited, *(loss.hoped_for if patient else ())]", "missing = [*loss.awaited]",
        [f"{AWAITED}test_others_are_waited_for_with_patience"],
    ),
    Mutant(
        "KR22", "And no longer.", RECOVERING,
        "return self._clock.seconds() < self._since.get(partition, self._clock.seconds()) + self._patience_s",
        "return True",
        ["tests/api/test_recovery.py::FallenBehindTests::test_for_a_time"],
    ),
    Mutant(
        "KR22", "What an earlier process said of its log is not true of this one's.", RECOVERY,
        "return (answer.broker_epoch, answer.leader_epoch) == (image.brokers[node].epoch, state.leader_epoch)",
        "return answer.leader_epoch == state.leader_epoch",
        [f"{AWAITED}test_an_answer_of_an_earlier_process"],
    ),
    Mutant(
        "KR22", "Nor what was said while somebody led.", RECOVERY,
        "return (answer.broker_epoch, answer.leader_epoch) == (image.brokers[node].epoch, state.leader_epoch)",
        "return answer.broker_epoch == image.brokers[node].epoch",
        [f"{AWAITED}test_an_answer_about_an_earlier_state"],
    ),
    Mutant(
        "KR22", "Nobody is elected so while somebody has everything.", RECOVERY,
        "return state.leader == NO_LEADER and not state.isr and not state.elr", "return state.leader == NO_LEADER",
        [f"{AWAITED}test_not_while_somebody_has_everything"],
    ),
    Mutant(
        "KR22", "The best is the one of the latest epoch, and of those the longest.", RECOVERY,
        "best = max(said, key=lambda node: (said[node], node in known, -state.replicas.index(node)))",
        "best = max(said, key=lambda node: (said[node].end_offset, node in known, -state.replicas.index(node)))",
        [f"{RECOVER}test_latest_epoch_before_length"],
    ),
    Mutant(
        "KR22", "Whoever is there is compared, also one that had fallen behind.", RECOVERY,
        "asked=tuple(node for node in state.replicas if image.is_active(node)),",
        "asked=tuple(node for node in state.last_known_elr if image.is_active(node)),",
        [f"{RECOVER}test_one_that_had_fallen_behind"],
    ),
    Mutant(
        "KR22", "After all have lost power the longest log leads, and nobody has to ask for that.", RECOVERING,
        "controllership.add_duty(self)\nmetadata.listen(self._changed)", "",
        [f"{POWER}test_all_come_back",
         f"{POWER}test_the_best_leads"],
    ),
    Mutant(
        "KR22", "Where the settings leave it to people, it is left to them.", RECOVERY,
        "if _is_lost(state) and recovers(image, topic.name):", "if _is_lost(state):",
        ["tests/cluster/test_recovery.py::LostTests::test_where_the_settings_say_no",
         "tests/api/test_recovery.py::StrategyTests::test_none"],
    ),
    Mutant(
        "KR22", "A log without records goes as far as its last epoch is known to have gone.", LOG_INFO,
        "return LogEnd(epochs.latest, kept.end_offset)", "return LogEnd(-1, kept.end_offset)",
        ["tests/services/test_log_info.py::EndTests::test_nothing_is_left"],
    ),
    Mutant(
        "KR22", "A copy that is out of order says nothing of how far it goes.", LOG_INFO,
        "if copy is None or copy.offline is not None:", "if copy is None:",
        ["tests/services/test_log_info.py::DescribeTests::test_out_of_order"],
    ),
)  # fmt: skip

MEMBERS = (
    Mutant(
        "PL3", "Nobody is removed where those who stay could not agree.", JOINING,
        "if there < needed:", "if False:",
        [f"{AGREEMENT}test_no_majority", f"{QUORUM_TESTS}test_those_who_would_be_left_cannot_agree"],
    ),
    Mutant(
        "PL3", "A majority is more than half.", JOINING,
        "there, needed = sum(voter.is_caught_up for voter in voters), len(voters) // 2 + 1",
        "there, needed = sum(voter.is_caught_up for voter in voters), (len(voters) + 1) // 2",
        [f"{AGREEMENT}test_no_majority"],
    ),
    Mutant(
        "PL3", "Who comes to vote counts among those who have to agree.", QUORUM,
        "check_agreement([evolve(one, is_voter=one.is_voter or _is(one, key)) for one in known])", "pass",
        [f"{QUORUM_TESTS}test_those_who_would_be_left_cannot_agree"],
    ),
    Mutant(
        "PL3", "Who was removed while it was away asks to be let in.", ROOM,
        "self.joining.startService()\nself.rejoining.startService()", "self.joining.startService()",
        [f"{RETURN}test_it_comes_back_with_its_disk"],
    ),
)  # fmt: skip

BROKERS = (
    Mutant(
        "PL4", "Nobody goes who alone has everything of a partition.", FAILOVER,
        "if needed:", "if False:",
        [f"{UNREGISTERING}test_nobody_else_has",
         "tests/api/test_quorum.py::UnregisterTests::test_it_has_what_nobody_else_has"],
    ),
    Mutant(
        "PL4", "Nor who may have most of what is left.", FAILOVER,
        "return node in (sure or state.last_known_elr) and not any(other != node for other in sure)",
        "return node in sure and not any(other != node for other in sure)",
        [f"{UNREGISTERING}test_it_may_have_most"],
    ),
    Mutant(
        "PL4", "Whoever else has everything will do, there or not.", FAILOVER,
        "sure = state.isr + state.elr", "sure = state.isr",
        [f"{UNREGISTERING}test_somebody_else_has_everything"],
    ),
)  # fmt: skip

MUTANTS = (*RECOVERIES, *MEMBERS, *BROKERS)
