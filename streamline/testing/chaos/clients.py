"""The producers that there are: those of librdkafka, of kafka-python, and Kafka's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kafka import KafkaProducer

from streamline.model import TopicPartition
from streamline.testing.chaos.java import JavaWriter, is_there
from streamline.testing.chaos.workers import Worker
from streamline.testing.chaos.writers import PATIENCE_S, RdkafkaWriter, Writer
from streamline.testing.history import History, Send


class KafkaPythonWriter(Writer):
    """kafka-python, with its defaults but for idempotence; it calls back in a thread of its own."""

    def open(self) -> None:
        """Make the producer."""
        self._unanswered: dict[str, Send] = {}
        self._producer = KafkaProducer(
            bootstrap_servers=self.bootstrap.split(","),
            client_id=self.name,
            acks="all",
            enable_idempotence=True,
            delivery_timeout_ms=int(PATIENCE_S * 1000),
            reconnect_backoff_max_ms=1000,
        )

    def send(self, key: TopicPartition) -> None:
        """Send a record; it waits for room itself."""
        send = self.begun(key)
        self._unanswered[send.value] = send
        sent = self._producer.send(key.topic, send.value.encode(), partition=key.partition)
        sent.add_callback(self._acked, send)
        sent.add_errback(self._failed, send)

    def _acked(self, send: Send, metadata: Any) -> None:
        self._unanswered.pop(send.value, None)
        self.ended(send, metadata.offset)

    def _failed(self, send: Send, error: Exception) -> None:
        self._unanswered.pop(send.value, None)
        self.ended(send, None, repr(error))

    def turn(self, seconds: float) -> None:
        """Wait."""
        self.pause(seconds)

    def close(self) -> int:
        """Flush."""
        self._producer.close(timeout=PATIENCE_S)
        return len(self._unanswered)


WRITERS: Mapping[str, Callable[[str, str, History, Sequence[TopicPartition], float, Callable[[], float]], Worker]] = {
    "librdkafka": RdkafkaWriter,
    "kafka-python": KafkaPythonWriter,
    "java": JavaWriter,
}


def writers_here() -> list[str]:
    """Return the names of those that can be run here."""
    return [name for name in WRITERS if name != "java" or is_there()]

