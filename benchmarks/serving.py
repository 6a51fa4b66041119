"""
What a request costs between the socket and the log: no sockets, no disk, one connection, CPU time only.

Run as C{python -m benchmarks.serving}.  Each line is the median of several rounds, in microseconds of CPU for one
request; the rounds of all workloads are interleaved, so that ratios between two runs can be trusted more than the
figures themselves.
"""

from __future__ import annotations

import argparse
from statistics import median
from time import monotonic, process_time

from streamline.wire.messages.api_versions import ApiVersionsRequest
from streamline.wire.messages.metadata import MetadataRequest
from tests.broker import Broker, Client, batch_of, fetch_request, produce_request

TOPIC = "measured"
REQUESTS = 2000
IN_FLIGHT = 20


class Sink:
    """A transport that takes everything and keeps nothing."""

    def __init__(self, client: Client) -> None:
        client.wire.writeSequence = self.taken  # type: ignore[method-assign]
        self.answers = 0

    def taken(self, parts: list[bytes]) -> None:
        """Count."""
        self.answers += len(parts)


def measure(client: Client, passes: list[bytes]) -> float:
    """Give each pass to the connection; return the microseconds of CPU for one request."""
    received = client.connection.dataReceived
    turns = client.connection.factory.broker.turns
    began = process_time()
    for data in passes:
        turns.spent_s = 0.0  # a pass that has its turn to itself
        received(data)
    return (process_time() - began) / REQUESTS * 1e6


def workloads(client: Client) -> dict[str, bytes]:
    """Return a request of each kind."""
    small, large = batch_of(bytes(100)), batch_of(*[bytes(1000)] * 16)
    return {
        "produce 100 B, acks=1": client.frame(produce_request(TOPIC, small, acks=1), 9),
        "produce 100 B, acks=all": client.frame(produce_request(TOPIC, small), 9),
        "produce 16 KiB, acks=all": client.frame(produce_request(TOPIC, large), 9),
        "fetch 16 KiB": client.frame(fetch_request("read", partition_max_bytes=16_000), 12),
        "fetch nothing": client.frame(fetch_request("read", 64, partition_max_bytes=16_000), 12),
        "metadata of one topic": client.frame(MetadataRequest(topics=[]), 12),
        "api versions": client.frame(ApiVersionsRequest(client_software_name="a", client_software_version="1"), 3),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    broker = Broker(broker={"log_retention_bytes": 1 << 20, "log_segment_bytes": 1 << 20}).start()
    broker.create(TOPIC)
    broker.create("read")
    for _ in range(4):
        broker.produce("read", batch_of(*[bytes(1000)] * 16))
    client = broker.connect()
    client.connection._seconds = monotonic  # the simulator's clock costs more than the real one
    Sink(client)
    passes = {name: [frame * IN_FLIGHT] * (REQUESTS // IN_FLIGHT) for name, frame in workloads(client).items()}
    figures: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(rounds):
        for name, data in passes.items():
            figures[name].append(measure(client, data))
            broker.wait(0.01)
            broker.partition(TOPIC).log.retain(broker.process.host.clock.wall_ms())
    for name, found in figures.items():
        print(f"{name:28} {median(found):8.2f} us")


if __name__ == "__main__":
    main()
