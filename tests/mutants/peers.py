"""Nodes among themselves: who founds, who joins, whom a node talks to (RF15, AU9, SE22)."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

FORMING = "streamline/cluster/forming.py"
JOINING = "streamline/cluster/joining.py"
GREETING = "streamline/cluster/greeting.py"
SHELL = "streamline/services/forming.py"
PEERS = "streamline/services/peers.py"
LISTENER = "streamline/net/peer.py"
CALL = "streamline/services/peer_call.py"

FOUNDING = "tests/cluster/test_forming.py::FoundingTests::"
CALLERS = "tests/cluster/test_greeting.py::CallerTests::"
ANSWERS = "tests/cluster/test_greeting.py::AnswerTests::"
REFUSALS = "tests/net/test_peer.py::RefusalTests::"
HOSTILE = "tests/net/test_peer.py::HostileTests::"

TWO_CLUSTERS = (
    Mutant(
        "AU9",
        "A cluster is founded when all founders have been seen.",
        FORMING,
        "if missing:",
        "if False:",
        [f"{FOUNDING}test_one_missing", f"{FOUNDING}test_all_at_once"],
    ),
    Mutant(
        "AU9",
        "Only the first of them founds it.",
        FORMING,
        "if first not in (self._selves or [self._own_name]):",
        "if False:",
        [f"{FOUNDING}test_others_do_not_found", "tests/cluster/test_forming.py::OrderTests::test_one_cluster"],
    ),
    Mutant(
        "AU9",
        "They found it together if they wait for the same ones.",
        FORMING,
        "if isinstance(heard, _Seen) and heard.names != names:",
        "if False:",
        [f"{FOUNDING}test_other_names"],
    ),
    Mutant(
        "RF15",
        "A founder is a node with its disk.",
        FORMING,
        "return any(voter[:2] == self._me[:2] for voter in voters)",
        "return any(voter[0] == self._me[0] for voter in voters)",
        [f"{FOUNDING}test_told"],
    ),
    Mutant(
        "RF15",
        "A directory whose log is gone begins no other one.",
        SHELL,
        "elif cluster_id:",
        "elif False:",
        ["tests/services/test_forming.py::JoiningTests::test_metadata_gone"],
    ),
    Mutant(
        "RF15",
        "A wiped disk does not come in under the node id of a member.",
        JOINING,
        "if known.directory_id != directory_id:",
        "if False:",
        ["tests/cluster/test_joining.py::JoiningTests::test_wiped_disk"],
    ),
)

WHO = (
    Mutant(
        "AU9",
        "Nodes of two clusters do not talk.",
        GREETING,
        "if own and its and own != its:",
        "if False:",
        [f"{CALLERS}test_wrong_cluster", f"{ANSWERS}test_wrong_ones", f"{REFUSALS}test_wrong_cluster"],
    ),
    Mutant(
        "AU9",
        "Whoever answers is the node that was called.",
        GREETING,
        "if meant.node_id not in (ANYBODY, there.node_id):",
        "if False:",
        [f"{CALLERS}test_wrong_node"],
    ),
    Mutant(
        "RF15",
        "And it has the disk that was meant.",
        GREETING,
        "if meant.directory_id not in (ZERO_UUID, there.directory_id):",
        "if False:",
        [f"{CALLERS}test_wrong_directory", f"{REFUSALS}test_another_disk_is_there"],
    ),
    Mutant(
        "AU9",
        "A node id is one process's.",
        GREETING,
        "if living is not None and living != said.sender.directory_id:",
        "if False:",
        [f"{CALLERS}test_the_id_of_one_that_lives", f"{REFUSALS}test_the_id_of_one_that_lives"],
    ),
    Mutant(
        "AU9",
        "A node does not talk to another with its own id.",
        GREETING,
        "if node_id == own.node_id:",
        "if False:",
        [f"{CALLERS}test_our_own_id"],
    ),
    Mutant(
        "AU9",
        "What a guest says of the log counts for nothing.",
        LISTENER,
        "if self.factory.peers.takes_part(self.guest.key, self.guest.cluster_id):",
        "if True:",
        ["tests/net/test_peer.py::GuestTests::test_guest"],
    ),
    Mutant(
        "AU9",
        "A node speaks for itself and to this one.",
        PEERS,
        "if message.sender != key or message.to != (self.identity.node_id, self.identity.directory_id):",
        "if False:",
        [f"{HOSTILE}test_somebody_elses_words"],
    ),
    Mutant(
        "AU9",
        "Who says nothing makes room.",
        LISTENER,
        "if len(self._ungreeted) > UNGREETED_MAX:",
        "if False:",
        [f"{HOSTILE}test_many_that_say_nothing"],
    ),
)

ANSWERS_OF_OTHERS = (
    Mutant(
        "SE22",
        "An answer to what was never asked ends the connection.",
        CALL,
        """raise ProtocolError(f"an answer to request {correlation_id}, which was never sent")""",
        "return",
        ["tests/net/test_peer.py::HostileAnswerTests::test_answers_that_are_none"],
    ),
)

MUTANTS = (*TWO_CLUSTERS, *WHO, *ANSWERS_OF_OTHERS)
