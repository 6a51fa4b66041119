"""Pushes: what a node takes of them before its log says the same, and what it must not."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

FORESIGHT = "streamline/cluster/foresight.py"
PUSHING = "streamline/cluster/pushing.py"
REPLICAS = "streamline/services/replicas.py"
COORDINATORS = "streamline/services/coordinators.py"

HISTORIES = "tests/cluster/test_pushed_history.py::PushedHistoryTests::test_where_the_log_leads"
FENCES = "tests/api/test_pushes.py::FenceTests"
EARLY = "tests/api/test_pushes.py::EarlyTests"

FENCED = (
    Mutant(
        "PU1",
        "A push is the controller's, as which it is connected.",
        FORESIGHT,
        "if push.controller_id != node_id or known is None or known.directory_id != directory_id:",
        "if False:",
        [f"{FENCES}::test_speaking_for_another"],
    ),
    Mutant(
        "PU1",
        "A push is of this cluster.",
        FORESIGHT,
        "if push.cluster_id != here.image.cluster_id:",
        "if False:",
        [f"{FENCES}::test_another_cluster"],
    ),
    Mutant(
        "PU1",
        "A push to an earlier process of the node is not for this one.",
        FORESIGHT,
        "if push.broker_epoch < 0 or push.broker_epoch != here.broker_epoch:",
        "if False:",
        [f"{FENCES}::test_another_process"],
    ),
    Mutant(
        "PU1",
        "A controller that was replaced says nothing any more.",
        FORESIGHT,
        "if push.controller_epoch < max(here.term, self.controller_epoch):",
        "if False:",
        [f"{FENCES}::test_an_earlier_controller", f"{FENCES}::test_a_later_controller_is_remembered"],
    ),
)

FORWARD = (
    Mutant(
        "PU2",
        "What has been applied is not taken again.",
        FORESIGHT,
        "return bool(push.metadata_index > here.image.index)",
        "return True",
        [f"{FENCES}::test_applied_long_ago"],
    ),
    Mutant(
        "PU2",
        "A state that is not later than all that is known is not taken.",
        FORESIGHT,
        "if told.epoch <= (latest if before is None else max(latest, before.epoch)):",
        "if False:",
        [HISTORIES],
    ),
    Mutant(
        "PU2",
        "What the log has brought is no push any more.",
        FORESIGHT,
        "self._roles = {key: told for key, told in self._roles.items() if told.index > index}",
        "pass",
        [HISTORIES],
    ),
    Mutant(
        "PU2",
        "The state that the log brought counts, where it is later than the push.",
        FORESIGHT,
        "if told is None or told.epoch <= state.partition_epoch:",
        "if told is None:",
        ["tests/cluster/test_pushing.py::TakingTests::test_the_log_is_right"],
    ),
)

SETTLED = (
    Mutant(
        "PU3",
        "A role is not taken before the settings with which it was agreed on.",
        FORESIGHT,
        "is_settled = 0 <= push.settled_index <= here.image.index",
        "is_settled = True",
        [f"{EARLY}::test_settings_come_first", HISTORIES],
    ),
    Mutant(
        "PU3",
        "Roles that come together with settings are not pushed.",
        PUSHING,
        "roles = [] if unsettles(delta.old, new) else changed",
        "roles = changed",
        ["tests/cluster/test_pushing.py::SettledTests::test_together_with_settings"],
    ),
    Mutant(
        "PU3",
        "Settings count among what must have been applied.",
        PUSHING,
        "if old.configs is not new.configs or old.broker_configs is not new.broker_configs:",
        "if False:",
        ["tests/cluster/test_pushing.py::SettledTests::test_what_unsettles", HISTORIES],
    ),
    Mutant(
        "PU3",
        "So do the registrations of brokers.",
        PUSHING,
        "return old.brokers is not new.brokers and _registrations(old) != _registrations(new)",
        "return False",
        ["tests/cluster/test_pushing.py::SettledTests::test_what_unsettles"],
    ),
)

ON_DISK = (
    Mutant(
        "PU4",
        "A push deletes nothing, whatever it says.",
        FORESIGHT,
        "return evolve(state, leader=NO_LEADER) if told.state is None else told.state",
        "return evolve(state, replicas=()) if told.state is None else told.state",
        [f"{EARLY}::test_move_away", f"{EARLY}::test_deleted"],
    ),
    Mutant(
        "PU4",
        "A copy that the log has taken away goes, whatever a push said.",
        REPLICAS,
        "if role is Role.GONE:",
        "if False:",
        [f"{EARLY}::test_move_away"],
    ),
    Mutant(
        "PU4",
        "Who coordinates leads the partition that it writes to, in the same epoch.",
        COORDINATORS,
        "states = () if topic is None else (self._metadata.expected(topic, one.index) for one in topic.partitions)",
        "states = () if topic is None else topic.partitions",
        ["tests/services/test_coordinators.py::PushedTests::test_led_early"],
    ),
)

MUTANTS = (*FENCED, *FORWARD, *SETTLED, *ON_DISK)
