"""Brokers in the cluster: taken in, heard of, fenced and let go by the controller (KR15, KR21, KR31, KR32, RF18)."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

ANSWERS = "streamline/api/brokers.py"
ALTERING = "streamline/services/altering.py"
LINE = "streamline/services/controller_line.py"
CONTROLLERSHIP = "streamline/services/controllership.py"
DECIDED = "streamline/cluster/membership.py"
MEMBERSHIP = "streamline/services/membership.py"
PRODUCER_IDS = "streamline/services/producer_ids.py"
REGISTRAR = "streamline/services/registering.py"

ALONE = "tests/services/test_registering.py::AloneTests::"
ALTER = "tests/services/test_altering.py::AlteringTests::"
DECIDE = "tests/services/test_controllership.py::DecidingTests::"
HERE = "tests/cluster/test_membership.py::HereTests::"
LEAD = "tests/services/test_controllership.py::LeadingTests::"
LEAVE = "tests/services/test_registering.py::LeavingTests::"
LIVE = "tests/services/test_registering.py::LivingTests::"
SENDER = "tests/services/test_altering.py::SenderTests::"
SILENCE = "tests/services/test_membership.py::SilenceTests::"
SILENT = "tests/cluster/test_membership.py::SilenceTests::"

CONTROLLER = (
    Mutant(
        "KR31", "A controller decides nothing before it has repaired what the last one left behind.", CONTROLLERSHIP,
        "return self._agree(plan) if self.is_active else fail(not_controller())", "return self._agree(plan)",
        [f"{LEAD}test_repair_comes_first"],
    ),
    Mutant(
        "KR31", "Nor once somebody else leads.", CONTROLLERSHIP,
        "if not self._leads or epoch != self.epoch:", "if False:",
        [f"{DECIDE}test_another_leads_before_it_is_planned_again"],
    ),
    Mutant(
        "KR31", "What it knew in one term is worth nothing in the next.", CONTROLLERSHIP,
        "if self._leads and (leader_id != self._node_id or term != self.epoch):",
        "if self._leads and leader_id != self._node_id:",
        [f"{LEAD}test_another_term"],
    ),
    Mutant(
        "KR31", "A plan that does not fit any more is made again, from the image of then.", CONTROLLERSHIP,
        "continue", "raise",
        [f"{DECIDE}test_planned_again"],
    ),
    Mutant(
        "RF17", "A plan whose outcome is unknown is not made again.", CONTROLLERSHIP,
        "if refusal.code in NOT_APPLIED:", "if False:",
        [f"{DECIDE}test_what_was_not_applied_is_not_planned_again"],
    ),
    Mutant(
        "KR31", "Nobody waits for a controller that is none any more.", LINE,
        "for asking in list(self._asking):", "for asking in ():",
        [f"{LIVE}test_nobody_waits_for_the_last_controller"],
    ),
)

SESSIONS = (
    Mutant(
        "KR15", "Whose process is known to be gone is fenced at once.", MEMBERSHIP,
        "self._fence(lambda image: crashed(image, self._sessions, key.node_id, epoch))", "pass",
        [f"{LIVE}test_a_crash", f"{LIVE}test_a_crash_of_the_controller"],
    ),
    Mutant(
        "KR15", "Also by a controller that knew before it was one.", MEMBERSHIP,
        "for key in () if self._peers is None else self._peers.gone:", "for key in ():",
        [f"{LIVE}test_a_crash_of_the_controller"],
    ),
    Mutant(
        "RF15", "A process of another disk is another one's.", MEMBERSHIP,
        "if broker is None or broker.directory_id != key.directory_id:", "if broker is None:",
        [f"{LIVE}test_somebody_else_under_that_id"],
    ),
    Mutant(
        "KR15", "Who is silent for a session's time-out is fenced.", MEMBERSHIP,
        "elif self._sessions.overdue(self._metadata.image, now):", "elif False:",
        [f"{LIVE}test_silence", f"{LIVE}test_silence_of_the_controller"],
    ),
    Mutant(
        "RF18", "A controller that stood still takes nobody for gone because of that.", MEMBERSHIP,
        "if now - due > self._timeout_s * LATE_SHARE:", "if False:",
        [f"{SILENCE}test_a_controller_that_stood_still"],
    ),
    Mutant(
        "KR15", "It looks again when the first of those whom it waits for is overdue.",
        "streamline/cluster/sessions.py",
        "return min(deadlines, default=None)", "return max(deadlines, default=None)",
        [f"{SILENT}test_when_to_look", f"{LIVE}test_silence"],
    ),
)

BROKER = (
    Mutant(
        "KR15", "A process takes part where the image says so of itself, not of the one before it.", REGISTRAR,
        "if broker is None or not self._incarnation_id or broker.incarnation_id != self._incarnation_id:",
        "if broker is None:",
        [f"{LIVE}test_it_comes_back_before_anybody_noticed"],
    ),
    Mutant(
        "KR15", "Who is told that it is not known as it is registers again.", REGISTRAR,
        "if refusal.code in UNKNOWN:", "if False:",
        [f"{LIVE}test_it_is_told_that_it_is_another"],
    ),
    Mutant(
        "KR15", "A broker that is fenced although it lives says so at once.", REGISTRAR,
        "if me is None or me.fenced or _is_somebody_new_leaving(old, new):",
        "if _is_somebody_new_leaving(old, new):",
        [f"{LIVE}test_a_hint_that_was_wrong"],
    ),
    Mutant(
        "KR21", "A broker says under which epoch it stopped in order.", REGISTRAR,
        "wanted = evolve(self._introduce(), previous_epoch=NO_BROKER_EPOCH if clean is None else clean)",
        "wanted = self._introduce()",
        [f"{ALONE}test_again_after_a_clean_stop"],
    ),
    Mutant(
        "KR21", "A clean stop leaves the epoch of this registration behind.", REGISTRAR,
        "self.broker_epoch = self._storage.broker_epoch = epoch", "self.broker_epoch = epoch",
        [f"{LIVE}test_all_take_part", f"{ALONE}test_again_after_a_clean_stop"],
    ),
    Mutant(
        "KR21", "The controller's own broker begins fenced, too, where it may have lost records.", DECIDED,
        "is_needed = bool(repair(after(image, [at_once])))", "is_needed = False",
        [f"{HERE}test_after_any_other_end", f"{HERE}test_somebody_has_to_be_elected"],
    ),
    Mutant(
        "KR22", "And where a partition waits for it, and has to be given to it uncleanly.", DECIDED,
        "is_needed = bool(repair(after(image, [at_once])))", "is_needed = not after(image, [at_once])",
        [f"{HERE}test_after_two_ends_in_a_row"],
    ),
    Mutant(
        "KR15", "Only the process that holds the same directory proves that the one before it is gone.", DECIDED,
        "return known.directory_id in (wanted.directory_id, ZERO_UUID)", "return True",
        ["tests/cluster/test_membership.py::RegistrationTests::test_while_the_other_is_heard_of"],
    ),
    Mutant(
        "KR32", "A broker that stops has others lead first.", REGISTRAR,
        "wants_shutdown=self._leaving is not None,", "",
        [f"{LEAVE}test_leaders_move", f"{LEAVE}test_the_controller_leaves"],
    ),
    Mutant(
        "KR32", "It goes all the same where nobody answers.", REGISTRAR,
        "self._patience = clock.callLater(self._session_s, self._left), clock.callLater(LEAVING_S, self._left)",
        "self._patience = clock.callLater(1e6, self._left), clock.callLater(1e6, self._left)",
        [f"{LEAVE}test_nobody_answers"],
    ),
)

ASKED = (
    Mutant(
        "AU6", "Nobody speaks for a broker but the node that is connected as it.", ANSWERS,
        "if node_id != sender.node_id:", "if False:",
        [f"{SENDER}test_nobody_speaks_for_another"],
    ),
    Mutant(
        "RF15", "Nobody registers another disk than the one that it is connected as.", ANSWERS,
        "if list(request.log_dirs) != [sender.directory_id]:", "if len(request.log_dirs) != 1:",
        [f"{SENDER}test_another_directory"],
    ),
    Mutant(
        "KR13", "One request changes a partition once.", ALTERING,
        "if key in seen:", "if False:",
        [f"{SENDER}test_one_partition_twice"],
    ),
    Mutant(
        "KR13", "A node has one request for ISRs under way.", ALTERING,
        "if self._waiting and self._sending is None and not self._is_under_way and not self._is_stopped:",
        "if self._waiting and self._sending is None and not self._is_stopped:",
        [f"{ALTER}test_one_under_way"],
    ),
    Mutant(
        "KR18", "The epoch under which each member was judged goes with the request.", ALTERING,
        "BrokerState(broker_id=member.node_id, broker_epoch=member.broker_epoch) for member in change.isr",
        "BrokerState(broker_id=member.node_id) for member in change.isr",
        [f"{ALTER}test_shrink_and_grow"],
    ),
    Mutant(
        "KR15", "An earlier process of a broker is given no producer ids.", PRODUCER_IDS,
        "image.broker_at(node, broker_epoch)", "pass",
        [f"{SENDER}test_an_earlier_process"],
    ),
    Mutant(
        "KR15", "Nor is its word about an ISR heard.", ALTERING,
        "image.broker_at(node, broker_epoch)", "pass",
        [f"{SENDER}test_an_earlier_process"],
    ),
)

MUTANTS = CONTROLLER + SESSIONS + BROKER + ASKED
