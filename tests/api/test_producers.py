"""InitProducerId: an id for an idempotent producer, and a plain no to transactions."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.wire.messages.producer_ids import InitProducerIdRequest, InitProducerIdResponse
from tests.broker import Broker


class InitProducerIdTests(SynchronousTestCase):
    """Whoever asks gets an id that nobody had."""

    def setUp(self) -> None:
        """Start a node."""
        self.broker = Broker().start()

    def ask(self, version: int = 5, **more: Any) -> InitProducerIdResponse:
        """Ask for an id."""
        request = InitProducerIdRequest(**{"transactional_id": None, "transaction_timeout_ms": 0, **more})
        answer: InitProducerIdResponse = self.broker.ask(request, version)
        return answer

    def test_every_version(self) -> None:
        found = [self.ask(version) for version in range(6)]
        self.assertEqual([(answer.error_code, answer.producer_epoch) for answer in found], [(0, 0)] * 6)
        self.assertEqual([answer.producer_id for answer in found], list(range(6)))

    def test_id_that_the_producer_has(self) -> None:
        """Without a transactional id it is given a new one all the same, as in Kafka (KIP-360)."""
        self.assertEqual(self.ask(producer_id=77, producer_epoch=3).error_code, ErrorCode.NONE)

    def test_half_of_an_id(self) -> None:
        for half in ({"producer_id": 77}, {"producer_epoch": 3}):
            self.assertEqual(self.ask(**half).error_code, ErrorCode.INVALID_REQUEST)

    def test_transactions(self) -> None:
        found = self.ask(transactional_id="tx", transaction_timeout_ms=60_000)
        self.assertEqual((found.error_code, found.producer_id), (ErrorCode.UNSUPPORTED_VERSION, -1))
        self.assertEqual(self.ask(transactional_id="").error_code, ErrorCode.INVALID_REQUEST)

    def test_metadata_that_cannot_be_written(self) -> None:
        """A block of ids has to be agreed on; the client tries again."""
        self.broker.machine.platter.faults.full = True
        found = self.ask()
        self.assertEqual((found.error_code, found.producer_id), (ErrorCode.COORDINATOR_NOT_AVAILABLE, -1))
        self.broker.machine.platter.faults.full = False
        self.assertEqual(self.ask().error_code, ErrorCode.NONE)
