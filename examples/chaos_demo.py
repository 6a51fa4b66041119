"""
A fail-over, live: three nodes, a producer, and kill -9 of the node that leads.

    python examples/chaos_demo.py

Nodes are processes of their own; confluent-kafka produces 200 records a second with acks=all.  Every tenth of a second
there is a line: who lives, who leads, how many records were acknowledged, and how long the slowest of them took.  After
two seconds the leader is killed; later it is started again.  In the end all records are read and counted.
"""

from __future__ import annotations

import argparse
import sys
import time
from threading import Event, Thread

from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streamline.testing import Cluster

TOPIC = "demo"
LINE_S = 0.1
GOING_S = 10.0
PERIOD_S = 0.005
BAR = 40
SLOW_S = 0.25
RED, BOLD, PLAIN = "\x1b[31m", "\x1b[1m", "\x1b[0m"


class Load:
    """
    A producer in a thread of its own.

    @ivar latencies: of the records that were acknowledged since they were last taken, in seconds.
    @ivar begun: set once a record was acknowledged.
    @ivar gap: the longest time without an acknowledgement since the first one.
    """

    def __init__(self, bootstrap: str) -> None:
        self.latencies: list[float] = []
        self.acked: list[int] = []
        self.failed = 0
        self.sent = 0
        self.gap = 0.0
        self._last: float | None = None
        told = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 0, "log_level": 0}
        self._producer = Producer(told)
        self.begun = Event()
        self._ending = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.is_set():
            began, number = time.monotonic(), self.sent

            def told(error: object, message: Message, began: float = began, number: int = number) -> None:
                if error is None:
                    self._acked(number, began)
                else:
                    self.failed += 1

            self._producer.produce(TOPIC, str(number).encode(), on_delivery=told)
            self.sent += 1
            while (left := began + PERIOD_S - time.monotonic()) > 0:
                self._producer.poll(left)

    def _acked(self, number: int, began: float) -> None:
        now = time.monotonic()
        self.gap = max(self.gap, 0.0 if self._last is None else now - self._last)
        self._last = now
        self.begun.set()
        self.acked.append(number)
        self.latencies.append(now - began)

    def finish(self) -> None:
        """Send no more, and wait for what is under way."""
        self._ending.set()
        self._thread.join()
        self._producer.flush(30)


class Screen:
    """Prints lines, in colours where there is a terminal."""

    def __init__(self, cluster: Cluster, load: Load, *, is_terminal: bool) -> None:
        self._cluster = cluster
        self._load = load
        self._is_terminal = is_terminal
        self._began = time.monotonic()
        self._leader: int | None = None

    def say(self, text: str) -> None:
        """Print what happens."""
        print(f"{BOLD}{text}{PLAIN}" if self._is_terminal else text, flush=True)

    def watch(self, seconds: float) -> None:
        """Print a line every tenth of a second."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(LINE_S)
            print(self._line(), flush=True)

    def _line(self) -> str:
        latencies, self._load.latencies = self._load.latencies, []
        nodes = " ".join(f"{node.node_id}:{'up' if node.is_running else '--'}" for node in self._cluster.nodes)
        try:
            self._leader = self._cluster.leader(TOPIC, 0, timeout_s=0.0)
        except TimeoutError:
            self._leader = None
        slowest = max(latencies, default=0.0)
        bar = "#" * min(len(latencies), BAR)
        told = f"{len(latencies):3} acked, slowest {slowest * 1000:6.1f} ms" if latencies else "  0 acked"
        line = f"{time.monotonic() - self._began:6.2f} s  nodes {nodes}  leader {self._leader or '-'}  {told:32} {bar}"
        is_slow = self._is_terminal and (slowest > SLOW_S or not latencies)
        return f"{RED}{line}{PLAIN}" if is_slow else line


def main() -> int:
    """Tell the story; return 1 where a record was lost or doubled."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--calm", type=float, default=2.0, metavar="S", help="seconds before the kill, and at the end")
    options.add_argument("--dead", type=float, default=3.0, metavar="S", help="seconds until it is started again")
    told = options.parse_args()
    with Cluster(3, processes=True, min_insync_replicas=2) as cluster:
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        admin.create_topics([NewTopic(TOPIC, 1, 3)])[TOPIC].result()
        cluster.wait_isr(TOPIC)
        load = Load(cluster.bootstrap)
        load.begun.wait(GOING_S)
        screen = Screen(cluster, load, is_terminal=sys.stdout.isatty())
        screen.say("three nodes, one partition with three replicas, and a producer with acks=all")
        screen.watch(told.calm)
        dead = cluster.leader(TOPIC)
        screen.say(f"kill -9 of node {dead}, which leads")
        cluster.kill(dead)
        screen.watch(told.dead)
        screen.say(f"node {dead} is started again, and copies what it has missed")
        starting = Thread(target=cluster.restart, args=(dead,))
        starting.start()
        while starting.is_alive():
            screen.watch(LINE_S)
        cluster.wait_isr(TOPIC)
        screen.say("all three replicas are in sync again")
        screen.watch(told.calm)
        load.finish()
        read = [int(record.value or b"-1") for record in cluster.records(TOPIC)]
    return judge(load, read)


def judge(load: Load, read: list[int]) -> int:
    """Say what came of it."""
    lost = set(load.acked).difference(read)
    doubled = len(read) - len(set(read))
    print(
        f"{load.sent} records sent, {len(load.acked)} acknowledged, {load.failed} failed; "
        f"{len(lost)} lost, {doubled} doubled; longest time without an acknowledgement: {load.gap * 1000:.0f} ms"
    )
    return int(bool(lost or doubled))


if __name__ == "__main__":
    sys.exit(main())
