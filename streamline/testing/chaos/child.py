"""
A client in a process of its own, which can be killed: C{python -m streamline.testing.chaos.child ROLE JSON}.

It prints a line of JSON before it sends something and when it has heard something, so that whoever kills it knows what
it knew.  L{streamline.testing.chaos.crashing} reads that.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message
from confluent_kafka import TopicPartition as Assigned

from streamline.model import TopicPartition
from streamline.testing.chaos.writers import RdkafkaWriter
from streamline.testing.history import History, Send

AT_ONCE = 500
POLL_S = 0.1
ANSWER_S = 10.0
SESSION_MS = 3000


def say(what: str, **said: Any) -> None:
    """Print a line; once nobody reads, there is nobody to be a client for."""
    print(json.dumps({"what": what, **said}), flush=True)


class Told(RdkafkaWriter):
    """A producer that tells what it does, rather than write it down."""

    def begun(self, key: TopicPartition) -> Send:
        """Tell it before it is done."""
        send = super().begun(key)
        say("sent", partition=key.partition, value=send.value, number=send.number, at=send.sent_at)
        return send

    def ended(self, send: Send, offset: int | None, error: object = None) -> None:
        """Tell what became of it."""
        super().ended(send, offset, error)
        say("done", value=send.value, at=send.done_at, offset=send.offset, error=send.error)

    def complain(self, what: object) -> None:
        """Tell that, too."""
        say("complaint", text=str(what))


class Reading:
    """
    A consumer that tells what it reads, and commits it where it is one of a group.

    @param group: the group's name; None for one that has its partitions assigned.
    """

    def __init__(self, told: dict[str, Any], clock: Callable[[], float]) -> None:
        self.topic: str = told["topic"]
        self.group: str | None = told.get("group")
        self.clock = clock
        self.is_ending = False
        self._next = {int(partition): offset for partition, offset in told.get("positions", {}).items()}
        self._fresh: set[int] = set()
        self._consumer = Consumer(
            {
                "bootstrap.servers": told["bootstrap"],
                "group.id": self.group or told["name"],
                "client.id": told["name"],
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest" if self.group else "error",
                "session.timeout.ms": SESSION_MS,
                "heartbeat.interval.ms": SESSION_MS // 6,
                "log_level": 0,
            }
        )

    def run(self) -> None:
        """Read until it is time to end."""
        if self.group is None:
            self._consumer.assign([Assigned(self.topic, one, offset) for one, offset in self._next.items()])
        else:
            self._consumer.subscribe([self.topic], on_assign=self._assigned)
        while not self.is_ending:
            asked_at = self.clock()
            self._took(self._consumer.consume(AT_ONCE, POLL_S), asked_at)
        self._consumer.close()

    def _assigned(self, consumer: Consumer, partitions: Sequence[Assigned]) -> None:
        """Begin where the group was, and tell where that is."""
        self._fresh = {one.partition for one in partitions}
        asked_at = self.clock()
        try:
            committed = consumer.committed(list(partitions), ANSWER_S)
        except KafkaException:
            return  # the library asks for it again itself
        for one in committed:
            if one.error is None and one.offset >= 0:
                say("fetched", partition=one.partition, offset=one.offset, asked_at=asked_at, at=self.clock())

    def _took(self, messages: Sequence[Message], asked_at: float) -> None:
        found: dict[int, list[tuple[int, str]]] = {}
        for message in messages:
            offset, value, partition = message.offset(), message.value(), message.partition()
            if message.error() is None and offset is not None and value is not None and partition is not None:
                found.setdefault(partition, []).append((offset, value.decode()))
        for partition, records in found.items():
            is_reset = partition in self._fresh
            self._fresh.discard(partition)
            position = records[0][0] if is_reset else self._next.get(partition, 0)
            self._next[partition] = records[-1][0] + 1
            say(
                "polled", partition=partition, asked_at=asked_at, at=self.clock(), position=position,
                records=records, is_reset=is_reset,
            )  # fmt: skip
        if self.group is not None:
            self._commit({partition: records[-1][0] + 1 for partition, records in found.items()})

    def _commit(self, ends: dict[int, int]) -> None:
        for partition, end in ends.items():
            asked_at = self.clock()
            try:
                done = self._consumer.commit(offsets=[Assigned(self.topic, partition, end)], asynchronous=False)
                errors = [str(one.error) for one in done or () if one.error is not None]
                error = errors[0] if errors else None
            except KafkaException as failure:
                error = str(failure)
            say("committed", partition=partition, offset=end, asked_at=asked_at, at=self.clock(), error=error)


def write(told: dict[str, Any], clock: Callable[[], float]) -> None:
    """Be a producer, until SIGTERM."""
    keys = [TopicPartition(told["topic"], one) for one in range(told["partitions"])]
    writer = Told(told["name"], told["bootstrap"], History(), keys, told["per_second"], clock)
    signal.signal(signal.SIGTERM, lambda *_: writer.ask_to_end())
    writer.work()


def read(told: dict[str, Any], clock: Callable[[], float]) -> None:
    """Be a consumer, until SIGTERM."""
    reading = Reading(told, clock)

    def end(*_: object) -> None:
        reading.is_ending = True

    signal.signal(signal.SIGTERM, end)
    reading.run()


ROLES: dict[str, Callable[[dict[str, Any], Callable[[], float]], None]] = {"write": write, "read": read}


def main(role: str, text: str) -> None:
    """Be what is asked for."""
    told = json.loads(text)
    began = told["began"]
    say("begun")
    ROLES[role](told, lambda: time.monotonic() - began)


if __name__ == "__main__":
    main(*sys.argv[1:])
