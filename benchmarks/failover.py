"""
How long clients wait when a node of three goes: processes on loopback, killed, held and restarted.

    python -m benchmarks.failover                       # everything, about ten minutes
    python -m benchmarks.failover --only controller --trials 100

Rows: C{start}, three processes begun at once until metadata lists three brokers and a controller; C{controller},
kill -9 of the controller until another has committed a command, C{held} the same with SIGSTOP, and C{parted} with all
its links to other nodes cut; C{leader}, C{pause} and C{roll}, the longest time without an acknowledgement, as
librdkafka with its defaults sees it, around kill -9 and SIGSTOP of a partition's leader and a rolling restart; C{back},
from the start of a node that was killed under load until it is in every ISR again; C{many}, kill -9 of a node that
leads a third of C{--partitions}.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from random import Random

from attrs import frozen

from benchmarks.many import fail_overs
from benchmarks.trials import show
from streamline.errors import ProtocolError
from streamline.model import Endpoint
from streamline.testing import Cluster
from streamline.testing.chaos.trial import Settings, Trial, Verdict, longest_gaps, start_cluster
from streamline.testing.embedded.conversation import Conversation
from streamline.wire.messages.metadata import MetadataRequest, MetadataResponse
from streamline.wire.messages.topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse

CREATE_VERSION = 5
METADATA_VERSION = 8
REPLICAS = 2
"""As many as are left when one is gone: nobody can place more."""
ANSWER_S = 2.0
GIVE_UP_S = 30.0
HELD_S = 6.0
APART_S = 11.0
"""
Between two leaders that are killed.  librdkafka remembers for C{reconnect.backoff.max.ms}, ten seconds, that a node
has refused it, and lets it wait for as long: sooner, it would be the time of the fault before that was measured.
"""
AWAY_S = 3.0
"""How long a node is away that comes back."""
LOOK_AGAIN_S = 0.02


@frozen
class Fault:
    """What is done to a controller, and undone."""

    name: str
    strike: Callable[[Cluster, int], None]
    mend: Callable[[Cluster, int], None]


KILLED = Fault("kill", lambda cluster, one: cluster.kill(one), lambda cluster, one: cluster.restart(one))
HELD = Fault("held", lambda cluster, one: cluster.pause(one), lambda cluster, one: cluster.resume(one))
PARTED = Fault("parted", lambda cluster, one: cluster.isolate(one), lambda cluster, one: cluster.heal())


def create(cluster: Cluster, node_id: int, topic: str, timeout_s: float = ANSWER_S) -> bool:
    """Have one node make a topic, and say whether it did."""
    wanted = CreatableTopic(name=topic, num_partitions=1, replication_factor=REPLICAS, assignments=[], configs=[])
    request = CreateTopicsRequest(topics=[wanted], timeout_ms=int(timeout_s * 1000), validate_only=False)
    [address] = [node.address for node in cluster.nodes if node.node_id == node_id]
    try:
        with Conversation(address, timeout_s) as talk:
            [made] = talk.ask(request, CreateTopicsResponse, CREATE_VERSION).topics
    except (OSError, ProtocolError):
        return False
    return made.error_code == 0


def starts(trials: int) -> list[float]:
    """Return the seconds that each start of three processes took."""
    found = []
    for _ in range(trials):
        began = time.perf_counter()
        cluster = start_cluster()
        cluster.start()
        found.append(time.perf_counter() - began)
        cluster.stop(clean=False)
    return found


def agreed_controller(cluster: Cluster) -> int:
    """
    Return the node that all three say is the controller: one that comes back may think for a moment that it is.

    @raise TimeoutError: they do not agree.
    """
    began = time.perf_counter()
    while time.perf_counter() - began < GIVE_UP_S:
        cluster.wait_all()
        said = {said_controller(node.address) for node in cluster.nodes}
        if len(said) == 1:
            return said.pop()
        time.sleep(LOOK_AGAIN_S)
    raise TimeoutError("the nodes do not agree on who is the controller")


def said_controller(address: Endpoint) -> int:
    """Ask a node who the controller is."""
    with Conversation(address, ANSWER_S) as talk:
        wanted = MetadataRequest(topics=[], allow_auto_topic_creation=False)
        return talk.ask(wanted, MetadataResponse, METADATA_VERSION).controller_id


def controllers(cluster: Cluster, fault: Fault, trials: int) -> list[float]:
    """Return the seconds from each loss of the controller until one of the others has made a topic."""
    found = []
    for number in range(trials):
        lost = agreed_controller(cluster)
        others = [one for one in cluster.node_ids if one != lost]
        fault.strike(cluster, lost)
        began = time.perf_counter()
        attempt = 0
        while not create(cluster, others[attempt % 2], f"after-{fault.name}-{number}-{attempt}"):
            attempt += 1
            if time.perf_counter() - began > GIVE_UP_S:
                raise TimeoutError("no other node became the controller")
        found.append(time.perf_counter() - began)
        fault.mend(cluster, lost)
    return found


def torment(cluster: Cluster, fault: str, trials: int, held_s: float, calm_s: float = 1.0) -> Verdict:
    """Have a producer work while a fault strikes so many times, and print what was wrong."""
    settings = Settings(
        partitions=1, per_second=500.0, clients=["librdkafka"], held_s=(held_s, held_s), calm_s=(calm_s, calm_s)
    )
    verdict = Trial(cluster, fault, Random(fault), settings).run([fault] * trials)
    for wrong in verdict.wrong:
        print(f"  WRONG {wrong}")
    return verdict


def gaps(cluster: Cluster, fault: str, trials: int, held_s: float, calm_s: float = 1.0) -> list[float]:
    """Return the longest gap of each of so many faults, in seconds."""
    verdict = torment(cluster, fault, trials, held_s, calm_s)
    return [longest_gaps(verdict, strike) for strike in verdict.strikes]


def returns(cluster: Cluster, trials: int) -> list[float]:
    """Return the seconds from each start of a node that was killed until it is in every ISR again."""
    verdict = torment(cluster, "kill-one", trials, AWAY_S)
    return [strike.synced_at - strike.at - AWAY_S for strike in verdict.strikes]


def measure(cluster: Cluster, trials: int, wanted: Sequence[str]) -> None:
    """Measure what is wanted of one cluster."""
    rows: dict[str, tuple[str, Callable[[], list[float]]]] = {
        "controller": ("kill -9 of the controller, next commit", lambda: controllers(cluster, KILLED, trials)),
        "held": ("SIGSTOP of the controller, next commit", lambda: controllers(cluster, HELD, trials)),
        "parted": ("the controller cut off, next commit", lambda: controllers(cluster, PARTED, trials)),
        "leader": ("kill -9 of a leader, longest gap", lambda: gaps(cluster, "kill-leader", trials, 1.5, APART_S)),
        "pause": ("SIGSTOP of a leader, longest gap", lambda: gaps(cluster, "pause-leader", trials // 2, HELD_S)),
        "roll": ("rolling restart, longest gap", lambda: gaps(cluster, "roll", trials // 4, 0.0)),
        "back": ("back after kill -9, until in every ISR", lambda: returns(cluster, max(trials // 4, 1))),
    }
    for name, (title, row) in rows.items():
        if name in wanted:
            show(title, row())


ROWS = ("start", "controller", "held", "parted", "leader", "pause", "roll", "back")


def measure_many(partitions: int, trials: int) -> None:
    """Measure the fail-over of very many partitions, in a cluster of their own."""
    with tempfile.TemporaryDirectory() as directory:
        cluster = start_cluster(data_dir=directory, sync=False)
        cluster.start()
        try:
            named, acked = zip(*fail_overs(cluster, partitions, trials), strict=True)
        finally:
            cluster.stop(clean=False)  # to close so many in order, each synced, takes long
    show(f"kill -9, {partitions} partitions, leaders named", named)
    show(f"kill -9, {partitions} partitions, all acknowledge", acked)


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--only", default=",".join(ROWS), help=f"rows, with commas between: {','.join(ROWS)},many")
    parser.add_argument("--partitions", type=int, default=10_000, help="of the row 'many'")
    options = parser.parse_args()
    wanted = options.only.split(",")
    if "start" in wanted:
        show("three processes, until all are listed", starts(max(options.trials // 4, 1)))
    if "many" in wanted:
        measure_many(options.partitions, max(options.trials // 5, 1))
    if not {"start", "many"}.issuperset(wanted):
        with tempfile.TemporaryDirectory() as directory, start_cluster(data_dir=directory, sync=False) as cluster:
            measure(cluster, options.trials, wanted)


if __name__ == "__main__":
    main()
