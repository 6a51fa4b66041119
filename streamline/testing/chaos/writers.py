"""
Idempotent producers with acks=all that write down what they sent and what became of it.

They are patient: whatever is done to the cluster, a producer goes on trying for longer than the fault lasts.  So a send
that fails is a complaint, and so is one that is never answered once everything is mended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from confluent_kafka import KafkaError, Message, Producer

from streamline.model import TopicPartition
from streamline.testing.chaos.workers import Worker
from streamline.testing.history import INFO, OK, History, Send

PATIENCE_S = 90.0
"""How long a producer tries to have a record acknowledged, and how long it is waited for at the end."""
ACKS_ALL = -1


class Writer(Worker):
    """
    Sends one record to each partition in turn, so many in a second all together.

    @param keys: the partitions.
    @param per_second: how many records it sends, unless the producer's queue is full.
    """

    def __init__(
        self,
        name: str,
        bootstrap: str,
        history: History,
        keys: Sequence[TopicPartition],
        per_second: float,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(name, clock)
        self.bootstrap = bootstrap
        self.keys = keys
        self.period_s = len(keys) / per_second
        self._history = history
        self._rounds = 0

    def work(self) -> None:
        """Send, round after round."""
        self.open()
        due = self.clock()
        while not self.is_ending:
            for key in self.keys:
                self.send(key)
            self._rounds += 1
            due = max(due + self.period_s, self.clock() - 1.0)
            self.turn(max(due - self.clock(), 0.0))
        if left := self.close():
            self.complain(f"{left} sends were still not answered {PATIENCE_S:g} s after everything was mended")

    def begun(self, key: TopicPartition) -> Send:
        """Note that a record is sent."""
        value = f"{self.name}/{key.partition}/{self._rounds}"
        made = Send(self.name, key, value, self._rounds, self.clock(), ACKS_ALL, True)
        self._history.sends.append(made)
        return made

    def ended(self, send: Send, offset: int | None, error: object = None) -> None:
        """Note what became of it."""
        send.done_at = self.clock()
        if error is None:
            send.status, send.offset = OK, -1 if offset is None else offset
        else:
            send.status, send.error = INFO, str(error)
            self.complain(f"{send.value} of {send.sent_at:.3f} failed: {error}")

    def open(self) -> None:
        """Make the producer."""
        raise NotImplementedError

    def send(self, key: TopicPartition) -> None:
        """Send a record."""
        raise NotImplementedError

    def turn(self, seconds: float) -> None:
        """Wait, and meanwhile hear what becomes of what was sent."""
        raise NotImplementedError

    def close(self) -> int:
        """Wait for what is under way; return how many sends remain without an answer."""
        raise NotImplementedError


class RdkafkaWriter(Writer):
    """librdkafka, with its defaults but for idempotence and lingering."""

    def open(self) -> None:
        """Make the producer."""
        self._producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "client.id": self.name,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 0,
                "message.timeout.ms": int(PATIENCE_S * 1000),
                "log_level": 0,
            }
        )

    def send(self, key: TopicPartition) -> None:
        """Send a record, once there is room for it."""
        send = self.begun(key)
        told = partial(self._told, send)
        while not self.is_ending:
            try:
                self._producer.produce(key.topic, send.value.encode(), partition=key.partition, on_delivery=told)
                return
            except BufferError:
                self._producer.poll(0.1)

    def _told(self, send: Send, error: KafkaError | None, message: Message) -> None:
        self.ended(send, message.offset(), error)

    def turn(self, seconds: float) -> None:
        """Serve its callbacks."""
        end = self.clock() + seconds
        self._producer.poll(0)
        while not self.is_ending and (left := end - self.clock()) > 0:
            self._producer.poll(left)

    def close(self) -> int:
        """Flush."""
        return self._producer.flush(PATIENCE_S)
