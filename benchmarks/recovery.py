"""How long a node that was killed takes to serve again, by the size of its log."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import frames, native, rdkafka, rows
from benchmarks.ledger import Ledger
from tests.clients.brokers import BrokerProcess

PARTITIONS = 4
GB = 1e9

#: Kafka's interval of checkpoints is a minute; a little more than that goes by under a trickle of requests.
TRICKLE_S = 65.0


def measure(ledger: Ledger, side: str, make: Callable[[Path], BrokerProcess], directory: Path, size_gb: float) -> None:
    """
    Fill a node, let it checkpoint while it is still written to, kill it, and start it again.

    It serves again when it answers for every partition with the offset that it had acknowledged.
    """
    broker = make(directory / f"recovery-{side}".replace(" ", "-"))
    broker.start()
    try:
        rdkafka.create_topic(broker.bootstrap, "recovery", PARTITIONS)
        _fill(broker, directory, size_gb)
        before = rdkafka.end_offsets(broker.bootstrap, "recovery", PARTITIONS)
        broker.kill()
        started = time.monotonic()
        broker.start()
        after = rdkafka.when_served(broker.bootstrap, "recovery", PARTITIONS)
        ledger.add(rows.RECOVERY, side, time.monotonic() - started)
        if after != before:
            raise RuntimeError(f"{side} had {before} records and came back with {after}")
    finally:
        broker.kill()


def _fill(broker: BrokerProcess, directory: Path, size_gb: float) -> None:
    """Write the bulk at full speed, then go on slowly for a little more than a minute."""
    batch = frames.batch_of_bytes(1 << 20)
    written = 0.0
    while written < size_gb * GB:
        sent = native.run_produce(
            broker.port, "recovery", batch, directory, partitions=4, connections=4, in_flight=2, seconds=4.0
        )
        written += sent.requests * len(batch)
    native.run_produce(
        broker.port,
        "recovery",
        frames.batch_of_bytes(16384),
        directory,
        partitions=4,
        connections=4,
        in_flight=100,
        seconds=TRICKLE_S,
        per_s=100.0,
    )
