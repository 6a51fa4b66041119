"""Consumers that write down what they read, and where."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, KafkaError, Message
from confluent_kafka import TopicPartition as Assigned

from streamline.model import TopicPartition
from streamline.testing.chaos.workers import Worker
from streamline.testing.history import History, Poll

AT_ONCE = 1000
POLL_S = 0.1
FINAL_S = 60.0


def _consumer(bootstrap: str, name: str, keys: Sequence[TopicPartition]) -> Consumer:
    """Return a consumer of these partitions that says so when it loses its place, rather than choose another."""
    made = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": name,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    made.assign([Assigned(key.topic, key.partition, 0) for key in keys])
    return made


class _Places:
    """Where a consumer is in each partition, and what it is heard to say."""

    def __init__(self, name: str, keys: Sequence[TopicPartition], history: History, *, is_final: bool) -> None:
        self.ended: dict[TopicPartition, int] = {}
        self.lost: list[str] = []
        self._name = name
        self._next = dict.fromkeys(keys, 0)
        self._history = history
        self._is_final = is_final

    def took(self, messages: Sequence[Message], asked_at: float, at: float) -> None:
        """Note what came, as one poll of each partition."""
        found: dict[TopicPartition, list[tuple[int, str]]] = {}
        for message in messages:
            error = message.error()
            if error is not None:
                self._heard(message, error)
                continue
            offset, value = message.offset(), message.value()
            assert offset is not None and value is not None
            found.setdefault(_key_of(message), []).append((offset, value.decode()))
        for key, records in found.items():
            self._history.polls.append(
                Poll(self._name, key, asked_at, at, self._next[key], records, is_final=self._is_final)
            )
            self._next[key] = records[-1][0] + 1

    def _heard(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            offset = message.offset()
            self.ended[_key_of(message)] = -1 if offset is None else offset
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            self.lost.append(f"{self._name} lost its place in {_key_of(message)} before {self._next}: {error}")


def _key_of(message: Message) -> TopicPartition:
    topic, partition = message.topic(), message.partition()
    assert topic is not None and partition is not None
    return TopicPartition(topic, partition)


class Reader(Worker):
    """Reads everything from the beginning, and what comes as it comes."""

    def __init__(
        self,
        name: str,
        bootstrap: str,
        history: History,
        keys: Sequence[TopicPartition],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(name, clock)
        self._bootstrap = bootstrap
        self._history = history
        self._keys = keys

    def work(self) -> None:
        """Read."""
        places = _Places(self.name, self._keys, self._history, is_final=False)
        consumer = _consumer(self._bootstrap, self.name, self._keys)
        try:
            while not self.is_ending:
                asked_at = self.clock()
                places.took(consumer.consume(AT_ONCE, POLL_S), asked_at, self.clock())
        finally:
            consumer.close()
            self.complaints += places.lost


def read_everything(
    bootstrap: str, history: History, keys: Sequence[TopicPartition], clock: Callable[[], float] = time.monotonic
) -> list[str]:
    """
    Read every partition to its end, with a consumer that is new; return its complaints.

    A partition that cannot be read to its end within a minute is one.
    """
    places = _Places("final", keys, history, is_final=True)
    consumer = _consumer(bootstrap, "final", keys)
    due = clock() + FINAL_S
    try:
        while set(places.ended) != set(keys) and clock() < due:
            asked_at = clock()
            places.took(consumer.consume(AT_ONCE, POLL_S), asked_at, clock())
    finally:
        consumer.close()
    missing = [str(key) for key in keys if key not in places.ended]
    return places.lost + [f"final: {key} could not be read to its end in {FINAL_S:g} s" for key in missing]
