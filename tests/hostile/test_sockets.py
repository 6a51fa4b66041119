"""
Hostile clients at real sockets (SE2, SE9 to SE13): others are served meanwhile, and memory stays bounded.

The node, an honest client and the attack run in processes of their own.  What is
asserted is what happens, and bounds that a busy machine keeps too; how long
others waited and how long the reactor was held up is printed.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from unittest import TestCase

import pytest

from streamline.wire.codec import encode
from streamline.wire.compress import ZSTD
from streamline.wire.header import write_request_header
from streamline.wire.messages.api_versions import ApiVersionsRequest
from streamline.wire.messages.configs import DescribeConfigsRequest, DescribeConfigsResource
from streamline.wire.messages.fetch import FetchPartition, FetchTopic
from streamline.wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from streamline.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from streamline.wire.messages.topics import CreatableTopic, CreateTopicsRequest
from streamline.wire.records import Record, build_batch
from streamline.wire.schema import Message
from tests.broker import as_configs, batch_of, fetch_request, produce_request
from tests.hostile.victim import TOPIC, Connection

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MEMORY_MIB = 1126
"""What a node takes at most: its budget of 1 GiB, and a tenth."""
SECONDS = 4.0
"""How long each attack lasts."""
STALL_MS = 1000
"""Far more than the goal of 250 ms, because the machine that tests run on is shared; the figure is printed."""


def framed(request: Message, version: int, number: int = 1) -> bytes:
    """Return a request as it goes over the wire."""
    body = write_request_header(type(request).KEY, version, number, "attacker") + encode(request, version)
    return struct.pack(">i", len(body)) + body


class NodeProcess:
    """A node that is attacked."""

    def __init__(self, *settings: str) -> None:
        command = [sys.executable, "-m", "tests.hostile.node", mkdtemp(prefix="streamline-"), *settings]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def report(self) -> dict[str, Any]:
        """Ask how it is."""
        assert self.process.stdin is not None
        self.process.stdin.write("how are you?\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self._line())
        return found

    def end(self) -> None:
        """End it."""
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with suppress(OSError):
                stream.close()
        self.process.wait(30)


class HostileCase(TestCase):
    """A node, and somebody who means no harm."""

    settings: tuple[str, ...] = ()

    def setUp(self) -> None:
        """Start the node."""
        everybody = "max.connection.creation.rate=100000", "max.connections.per.ip=100000"
        self.node = NodeProcess(*everybody, *self.settings)
        self.addCleanup(self.node.end)
        self.make(TOPIC)

    def make(self, name: str, **configs: str) -> None:
        """Make a topic."""
        connection = Connection(self.node.port)
        topic = CreatableTopic(name=name, num_partitions=1, replication_factor=1, configs=as_configs(configs))
        answer: Any = connection.ask(CreateTopicsRequest(topics=[topic], timeout_ms=10_000), 7)
        self.assertEqual(answer.topics[0].error_code, 0)
        connection.close()

    def connect(self, count: int) -> list[socket.socket]:
        """Open so many connections, which do not block."""
        found = []
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", self.node.port), timeout=10)
            one.setblocking(False)
            self.addCleanup(one.close)
            found.append(one)
        return found

    @contextmanager
    def honest(self, memory_mib: int = MEMORY_MIB) -> Iterator[list[float]]:
        """Let somebody use the node meanwhile; yield when to stop, and see afterwards that all was well."""
        self.node.report()
        victim = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.victim", str(self.node.port), str(SECONDS)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        yield [time.monotonic() + SECONDS + 1]
        output, _ = victim.communicate(timeout=60)
        self.assertEqual(victim.returncode, 0, "somebody else was harmed")
        served, node = json.loads(output), self.node.report()
        print(f"\n{self.id().rpartition('.')[2]}: others {served}; node {node}")
        self.assertEqual(served["wrong"], 0)
        self.assertGreater(served["count"], 20)
        self.assertLess(node["rss_mib"], memory_mib)
        self.assertLess(node["max_ms"], STALL_MS)

    def flood(self, connections: list[socket.socket], data: bytes, until: float) -> int:
        """Send the same bytes over and over on all connections, reading nothing; return how many bytes left."""
        sent = 0
        at = dict.fromkeys(connections, 0)
        while at and time.monotonic() < until:
            _, ready, _ = select.select([], list(at), [], 0.1)
            for one in ready:
                try:
                    count = one.send(data[at[one] : at[one] + (1 << 18)])
                except BlockingIOError:
                    continue
                except OSError:
                    del at[one]
                    continue
                sent += count
                at[one] = (at[one] + count) % len(data)
        return sent

    def ask_all(self, connections: list[socket.socket], data: bytes, until: float) -> int:
        """Ask the same again whenever there is an answer; return how many bytes came."""
        came = 0
        for one in connections:
            one.send(data)
        while time.monotonic() < until:
            ready, _, _ = select.select(connections, [], [], 0.1)
            for one in ready:
                with suppress(BlockingIOError):
                    found = one.recv(1 << 20)
                    came += len(found)
                    if len(found) < 1 << 16:
                        one.send(data)
        return came


class SlowTests(HostileCase):
    """SE2: requests that never get whole."""

    def test_a_thousand_slowlorises(self) -> None:
        with self.honest(200) as until:
            connections = self.connect(1000)
            for one in connections:
                one.send(struct.pack(">ih", 100 << 20, 0))
            while time.monotonic() < until[0]:
                for one in connections[::50]:
                    one.send(b"x")
                time.sleep(0.05)
            # None of them was closed; the honest client may have gone by now.
            self.assertIn(self.node.report()["connections"], (1000, 1001))

    def test_large_requests_that_never_end(self) -> None:
        """Each begins a hundred megabytes; together they get what there is, and no more."""
        beginning = struct.pack(">ih", 100 << 20, 0) + bytes(1 << 20)
        with self.honest(700) as until:
            connections = self.connect(60)
            self.flood(connections, beginning + bytes(30 << 20), until[0])
            self.assertLess(self.node.report()["inbound"], 300 << 20)


class UnreadTests(HostileCase):
    """SE12: answers that nobody reads."""

    def test_ten_thousand_requests(self) -> None:
        """The node stops reading when answers pile up."""
        with self.honest(200) as until:
            connections = self.connect(20)
            sent = self.flood(connections, framed(MetadataRequest(topics=None), 1) * 10_000, until[0])
            self.assertLess(self.node.report()["outbound"], 40 << 20)
            self.assertGreater(sent, 100_000)

    def test_large_fetches(self) -> None:
        """A hundred clients ask for fifty megabytes each and take nothing."""
        self.make("large")
        filler = Connection(self.node.port)
        batch = batch_of(*[bytes(100_000)] * 10)
        for _ in range(60):
            filler.ask(produce_request("large", batch, acks=1), 9)
        request = fetch_request("large", max_bytes=50 << 20, partition_max_bytes=50 << 20)
        with self.honest(900) as until:
            connections = self.connect(100)
            self.flood(connections, framed(request, 12) * 20, until[0] - 1)
            report = self.node.report()
            self.assertLess(report["outbound"], 400 << 20)


class ExpensiveTests(HostileCase):
    """SE9 to SE11: requests that are small and much work."""

    def test_bombs(self) -> None:
        """Batches that would be gigabytes, and batches of as many records as fit."""
        bomb = build_batch([Record(bytes(200 << 20))], compression=ZSTD)
        many = build_batch([Record(b"")] * 400_000, compression=ZSTD)
        data = b"".join(framed(produce_request(TOPIC, batch, acks=1), 9) for batch in (bomb, many))
        with self.honest(400) as until:
            self.ask_all(self.connect(4), data, until[0])

    def test_very_many_elements(self) -> None:
        """As many topics, partitions and resources as a request may name, on several connections at once."""
        topics = [MetadataRequestTopic(name=f"t{number}", topic_id=bytes(16)) for number in range(20_000)]
        parts = [FetchPartition(partition=index, fetch_offset=0, partition_max_bytes=1) for index in range(24_000)]
        fetch = fetch_request(TOPIC)
        fetch.topics = [FetchTopic(topic=TOPIC, partitions=parts)]
        resources = [
            DescribeConfigsResource(resource_type=2, resource_name=f"t{number}", configuration_keys=None)
            for number in range(20_000)
        ]
        create = CreateTopicsRequest(
            topics=[CreatableTopic(name=f"{n}", num_partitions=10**9, replication_factor=1) for n in range(8000)],
            timeout_ms=1000,
        )
        requests = (
            framed(MetadataRequest(topics=topics, allow_auto_topic_creation=False), 4),
            framed(fetch, 4),
            framed(DescribeConfigsRequest(resources=resources), 1),
            framed(create, 2),
        )
        with self.honest(400) as until:
            connections = self.connect(8)
            for number, one in enumerate(connections):
                one.setblocking(True)
                one.sendall(requests[number % 4])
                one.setblocking(False)
            while time.monotonic() < until[0]:
                ready, _, _ = select.select(connections, [], [], 0.1)
                for one in ready:
                    with suppress(BlockingIOError):
                        if len(one.recv(1 << 20)) < 1 << 16:
                            one.setblocking(True)
                            one.sendall(requests[connections.index(one) % 4])
                            one.setblocking(False)

    def test_produces_to_very_many_partitions(self) -> None:
        parts = [PartitionProduceData(index=number, records=b"x") for number in range(20_000)]
        request = ProduceRequest(
            acks=1, timeout_ms=1000, topic_data=[TopicProduceData(name=TOPIC, partition_data=parts)]
        )
        with self.honest(300) as until:
            self.ask_all(self.connect(4), framed(request, 9), until[0])

    def test_large_produces(self) -> None:
        """Ninety megabytes of rubbish each, from many at once: taken one after another."""
        rubbish = PartitionProduceData(index=0, records=bytes(90 << 20))
        request = ProduceRequest(
            acks=1, timeout_ms=1000, topic_data=[TopicProduceData(name=TOPIC, partition_data=[rubbish])]
        )
        with self.honest() as until:
            sent = self.flood(self.connect(12), framed(request, 9), until[0])
            self.assertGreater(sent, 100 << 20)


class CrowdTests(HostileCase):
    """SE13: too many connections."""

    settings = ("max.connections=100",)

    def test_one_more_than_may_be(self) -> None:
        """It is closed at once; those that are in do not notice; when one goes, another may come."""
        with self.honest(200) as until:
            time.sleep(0.5)
            connections = self.connect(150)
            time.sleep(0.5)
            report = self.node.report()
            self.assertEqual(report["connections"], 100)
            self.assertEqual(report["turned_away"], 51)
            for one in connections:
                one.close()
            time.sleep(0.5)
            again = Connection(self.node.port)
            again.ask(ApiVersionsRequest(), 0)
            again.close()
            self.assertLess(time.monotonic(), until[0])

    def test_storm(self) -> None:
        """Connections that come and are reset, as fast as they can."""
        abort = struct.pack("ii", 1, 0)
        count = 0
        with self.honest(200) as until:
            while time.monotonic() < until[0]:
                with suppress(OSError), socket.create_connection(("127.0.0.1", self.node.port), timeout=5) as one:
                    if count % 3:
                        one.send(struct.pack(">ih", 1000, 3) + b"x" * (count % 900))
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abort)
                    count += 1
        self.assertGreater(count, 500)
        time.sleep(0.5)
        self.assertLess(self.node.report()["connections"], 3)
