"""kafkajs, in the steps of C{node/client.mjs}; C{.ci/node} installs it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import asdict

from tests.clients.drivers.base import DEADLINE_S, PARTITIONS, Consumed, Record, Shares

SCRIPT = Path(__file__).parents[1] / "node" / "client.mjs"


class KafkaJsClient:
    """kafkajs; each step is a process of its own."""

    name = "kafkajs"
    codecs = ("none", "gzip", "snappy", "lz4", "zstd")
    protocols = ("eager",)

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def create(self, topic: str) -> None:
        """Create it; kafkajs answers false when it exists already."""
        assert self.step("create", topic, PARTITIONS) is True

    def produce(self, topic: str, codec: str, records: Iterable[Record]) -> None:
        """Send all in one call."""
        self.step("produce", topic, codec, text=json.dumps([asdict(record) for record in records]))

    def consume(self, topic: str, group: str, count: int) -> Consumed:
        """Subscribe, read, commit; the committed offsets come from the admin client."""
        answer = self.step("consume", topic, group, count)
        committed = {each["partition"]: int(each["offset"]) for each in answer["committed"]}
        return Consumed([Record(**each) for each in answer["records"]], committed)

    def rebalance(self, topic: str, group: str, protocol: str) -> Shares:
        """Both members live in one process."""
        assert protocol == "eager"
        answer = self.step("rebalance", topic, group, PARTITIONS)
        first, second = answer["together"]
        # kafkajs always gives up everything when a group rebalances, and has no event that says so.
        return Shares(answer["alone"], (first, second), answer["alone"], answer["after"])

    def seek(self, topic: str, timestamp: int, count: int) -> list[Record]:
        """Ask for the offsets of a time and seek to them; kafkajs cannot do it outside a group."""
        answer = self.step("seek", topic, timestamp, f"{topic}-seek", count)
        return [Record(**each) for each in answer]

    def delete(self, topic: str) -> list[str]:
        """Delete it and list what is left."""
        return sorted(self.step("delete", topic))

    def step(self, name: str, topic: str, *arguments: object, text: str = "") -> Any:
        """
        Run one step of the script and return its result.

        @raise AssertionError: the script failed; the message holds what it printed.
        """
        command = ["node", str(SCRIPT), self.bootstrap, name, topic, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, input=text, timeout=2 * DEADLINE_S)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
