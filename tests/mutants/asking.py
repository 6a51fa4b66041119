"""Asked anywhere: what is the controller's gets there, with who asks, and what it says is so."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

FORWARDING = "streamline/services/forwarding.py"
SENDING = "streamline/api/forwarding.py"
RECEIVING = "streamline/api/envelope.py"
SETTINGS = "streamline/cluster/settings.py"
SHOWN = "streamline/api/settings.py"
REPLICAS = "streamline/services/replicas.py"
PARTITION = "streamline/services/partition.py"
QUORUM = "streamline/api/quorum.py"
MOVES = "streamline/api/reassignments.py"
FEATURES = "streamline/cluster/features.py"
IMAGE = "streamline/cluster/image.py"

FAR = "tests/services/test_forwarding.py::FarTests::"
NEAR = "tests/services/test_forwarding.py::NearTests::"
SENT = "tests/api/test_forwarding.py::SendingTests::"
RECEIVED = "tests/api/test_forwarding.py::ReceivingTests::"
ANY_NODE = "tests/api/test_on_any_node.py::AnyNodeTests::"
DECIDED = "tests/cluster/test_settings.py::"
CHANGED = "tests/api/test_config_changes.py::"
LEVEL = "tests/cluster/test_features.py::"
VOTERS = "tests/api/test_quorum.py::QuorumTests::"

WAYS = (
    Mutant(
        "FW1",
        "What came to a node that is not the controller any more goes to the next one.",
        FORWARDING,
        "if refusal.code is not ErrorCode.NOT_CONTROLLER:\n    raise",
        "raise",
        [f"{FAR}test_not_the_controller_any_more", f"{FAR}test_no_controller_for_a_moment", f"{NEAR}test_not_yet"],
    ),
    Mutant(
        "FW1",
        "It goes there as soon as a leader is known.",
        FORWARDING,
        "for pausing in list(self._pausing):\n    self.go_on(pausing)",
        "",
        [f"{FAR}test_not_the_controller_any_more", f"{FAR}test_no_controller_for_a_moment"],
    ),
    Mutant(
        "FW1",
        "Nobody waits for a controller that stands still.",
        FORWARDING,
        "if node_id != leader_id:\n    del self._asked[answer]\n    answer.cancel()",
        "pass",
        [f"{FAR}test_a_controller_that_stands_still"],
    ),
    Mutant(
        "FW1",
        "Nobody waits for ever.",
        FORWARDING,
        "if self._forwarding.clock.seconds() >= self._until_s:\n    raise self._refusal",
        "",
        [f"{FAR}test_patience_ends", f"{FAR}test_never_known"],
    ),
    Mutant(
        "FW1",
        "A node that stops does not wait for a controller.",
        FORWARDING,
        "self._forwarding.go_on(self._pausing)",
        "pass",
        [f"{FAR}test_the_node_stops", f"{SENT}test_a_node_that_stops_waits_for_no_controller"],
    ),
    Mutant(
        "FW1",
        "What the client sent goes out as it came.",
        SENDING,
        "request_data=bytes(bound.frame),",
        "request_data=bytes(bound.frame).removesuffix(b'behind'),",
        [f"{SENT}test_bytes_as_they_came"],
    ),
    Mutant(
        "FW1",
        "A topic that another node has made meanwhile is the one.",
        "streamline/services/controller.py",
        "if refusal.code not in _SEEN_LATER:\n    raise",
        "raise",
        ["tests/services/test_creating.py::CreatingTests::test_somebody_else_was_first"],
    ),
    Mutant(
        "FW2",
        "Where one attempt may have been carried out, nobody says that nothing was.",
        FORWARDING,
        'self._refusal = Refused(ErrorCode.REQUEST_TIMED_OUT, "the controller did not answer")',
        "pass",
        [f"{FAR}test_never_known"],
    ),
    Mutant(
        "FW2",
        "The controller that is none any more says so in place of an answer.",
        RECEIVING,
        "if refusal.code is ErrorCode.NOT_CONTROLLER:\n    return EnvelopeResponse(error_code=refusal.code)",
        "",
        [f"{RECEIVED}test_not_the_controller"],
    ),
    Mutant(
        "FW3",
        "A node has seen what its client is told.",
        SENDING,
        "if changes:\n    await call.broker.forwarding.caught_up()",
        "",
        [f"{SENT}test_seen_before_the_client_goes_on"],
    ),
    Mutant(
        "AU9",
        "Envelopes are taken from brokers, known by node and by disk.",
        RECEIVING,
        "return known is not None and known.directory_id == sender.directory_id",
        "return known is not None",
        [f"{RECEIVED}test_from_no_broker"],
    ),
    Mutant(
        "AU9",
        "Who knows nobody, because it has just started, asks nobody for his papers.",
        RECEIVING,
        "return Deferred.fromCoroutine(_once_caught_up(broker, sender, request))",
        "return EnvelopeResponse(error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED)",
        [f"{RECEIVED}test_before_anybody_is_known"],
    ),
    Mutant(
        "SE22",
        "An envelope holds what a node passes on, and nothing else.",
        RECEIVING,
        "if not api.is_controller_bound:",
        "if False:",
        [f"{RECEIVED}test_what_nobody_passes_on"],
    ),
    Mutant(
        "SE22",
        "An envelope says whom it is from.",
        RECEIVING,
        "if not principal:",
        "if False:",
        [f"{RECEIVED}test_what_nobody_passes_on"],
    ),
)

CHANGES = (
    Mutant(
        "FW4",
        "A setting that is read when a node starts is not changed while it runs.",
        SETTINGS,
        "if setting not in DYNAMIC:",
        "if False:",
        [f"{DECIDED}BrokerTests::test_those_that_would_not"],
    ),
    Mutant(
        "FW4",
        "What is the same for all nodes is not changed for one of them.",
        SETTINGS,
        "if setting in RULES and name != CLUSTER_WIDE:",
        "if False:",
        [f"{DECIDED}BrokerTests::test_rules_are_the_same_for_all"],
    ),
    Mutant(
        "FW4",
        "The cluster is never without its rules.",
        SETTINGS,
        "if setting in RULES and wanted.operation is Operation.DELETE:",
        "if False:",
        [f"{DECIDED}BrokerTests::test_rules_are_the_same_for_all"],
    ),
    Mutant(
        "FW4",
        "Partitions follow at once.",
        REPLICAS,
        "if config is not replica.config and config != replica.config:\n    replica.configure(config)",
        "pass",
        [f"{CHANGED}EffectTests::test_partitions_follow", f"{ANY_NODE}test_settings_reach_every_node"],
    ),
    Mutant(
        "FW4",
        "So do their logs.",
        PARTITION,
        "self.log.configure(config)",
        "pass",
        [f"{CHANGED}EffectTests::test_logs_follow"],
    ),
    Mutant(
        "FW4",
        "What waited for a sync as long as the old setting said waits no longer.",
        PARTITION,
        "if self._sync_timer is not None:\n    self._sync_timer.reset(0)",
        "",
        [f"{CHANGED}EffectTests::test_flushes_that_were_to_come_later"],
    ),
    Mutant(
        "FW4",
        "Added partitions are opened.",
        REPLICAS,
        "if self._is_here(part.new) and (part.old is None or not self._is_here(part.old)):",
        "if self._is_here(part.new) and part.old is None and part.topic in delta.created:",
        ["tests/api/test_partitions.py::PartitionsTests::test_used_at_once"],
    ),
    Mutant(
        "LE7",
        "It says where they come from.",
        SHOWN,
        "if name in changed:",
        "if False:",
        [f"{CHANGED}EffectTests::test_sources"],
    ),
)

VOTING = (
    Mutant(
        "FW5",
        "A voter is added once it has caught up.",
        QUORUM,
        "while not _may_vote(quorum.describe(), key):",
        "while not _may_vote(quorum.describe(), key) and False:",
        [f"{VOTERS}test_added_once_it_has_caught_up", f"{VOTERS}test_never_caught_up"],
    ),
    Mutant(
        "FW5",
        "A voter that is there is not removed, or it would be added again at once.",
        QUORUM,
        "if known.heard_tick >= 0 and status.tick - known.heard_tick <= HEARD_TICKS:",
        "if False:",
        [f"{VOTERS}test_not_removed"],
    ),
    Mutant(
        "PL2",
        "A request does not move one partition to two places.",
        MOVES,
        "if is_twice:",
        "if False:",
        ["tests/api/test_reassignments.py::ReassignmentTests::test_twice"],
    ),
)

LEVELS = (
    Mutant(
        "FW6",
        "A level that a broker does not know is not asked for.",
        FEATURES,
        'known += [(f"broker {node}", broker.features) for node, broker in sorted(image.brokers.items())]',
        "pass",
        [f"{LEVEL}UpdatingTests::test_a_broker_does_not_know_it"],
    ),
    Mutant(
        "FW6",
        "A level falls where that was asked for.",
        FEATURES,
        "if update.level < now and update.direction == Direction.UPGRADE:",
        "if False:",
        [f"{LEVEL}UpdatingTests::test_down"],
    ),
    Mutant(
        "FW6",
        "A broker that came meanwhile is one of them.",
        IMAGE,
        "check_features(wanted, image.brokers.values())",
        "pass",
        [f"{LEVEL}LateTests::test_a_broker_came"],
    ),
    Mutant(
        "FW6",
        "So is a level, for a broker that was about to come.",
        IMAGE,
        "check_features(image.features, [broker])",
        "pass",
        [f"{LEVEL}LateTests::test_a_level_came"],
    ),
)

MUTANTS = (*WAYS, *CHANGES, *VOTING, *LEVELS)
