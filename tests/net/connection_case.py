"""What the tests of connections begin with."""

from __future__ import annotations

import struct
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.net.accounts import Accounts
from streamline.wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from tests.broker import Broker, Client

PING = ApiVersionsRequest()
GARBAGE = struct.pack(">i", -1)


class ConnectionCase(SynchronousTestCase):
    """A node with a topic, and a client."""

    limits: dict[str, Any] = {}

    def setUp(self) -> None:
        """Start it."""
        self.broker = Broker().start()
        self.factory = self.broker.node.factory
        self.factory.limits = evolve(self.factory.limits, **self.limits)
        self.factory.accounts = Accounts(self.factory.limits)
        self.broker.create("t")
        self.client = self.broker.connect()

    def numbers(self, client: Client | None = None) -> list[int]:
        """Return the correlation ids of the answers that came."""
        return [number for number, _ in (client or self.client).answers()]

    def answer_with(self, *answers: Any) -> None:
        """Let the next ApiVersions requests be answered like this; a function is called, an exception raised."""
        given = list(answers)

        def handler(call: Any, request: Any) -> Any:
            answer = given.pop(0) if given else ApiVersionsResponse()
            if isinstance(answer, Exception):
                raise answer
            return answer() if callable(answer) else answer

        for version in range(5):
            self.factory.routes.find(18, version).handler = handler

    def ping(self, client: Client | None = None) -> int:
        """Send the shortest request; return its number."""
        return (client or self.client).send(PING, 0)
