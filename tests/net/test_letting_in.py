"""What connections hold together, who is let in, and what is answered before the node serves."""

from __future__ import annotations

from copy import copy
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.net import connection
from streamline.net.accounts import Accounts
from streamline.services.sending import Sender, sender_over
from streamline.wire.messages.metadata import MetadataRequest
from tests.broker import Broker, Client, batch_of, fetch_request, produce_request
from tests.net.connection_case import PING, ConnectionCase


class AccountTests(ConnectionCase):
    """Connections say what they hold, and let it go."""

    limits = {"inbound_bytes_max": 20_000, "waiting_bytes_max": 20_000, "outbound_bytes_max": 10_000}

    def totals(self) -> tuple[int, int, int]:
        """Return the sums."""
        accounts = self.factory.accounts
        return accounts.inbound_bytes, accounts.waiting_bytes, accounts.outbound_bytes

    def large(self, client: Client) -> bytes:
        """Return a produce of 8 KB."""
        return client.frame(produce_request("t", batch_of(bytes(8000)), acks=1), 9)

    def test_parts_of_requests(self) -> None:
        frame = self.large(self.client)
        self.client.give(frame[:5000])
        self.assertEqual(self.totals(), (4996, 0, 0))
        self.client.give(frame[5000:])
        self.assertEqual(self.totals(), (0, 0, 0))

    def test_connections_that_end(self) -> None:
        self.client.give(self.large(self.client)[:5000])
        self.client.hang_up()
        self.broker.wait()
        self.assertEqual(self.totals(), (0, 0, 0))

    def test_a_flood_is_taken_one_after_another(self) -> None:
        """All have begun; there is room for one at a time; each is served in the end, by itself."""
        clients = [self.broker.connect() for _ in range(5)]
        frames = [self.large(client) for client in clients]
        for client, frame in zip(clients, frames, strict=True):
            client.give(frame[:4000])
        self.assertEqual([client.is_read for client in clients], [True, True, False, False, False])
        clients[1].connection.look_again()
        self.assertFalse(clients[1].is_read)
        for client, frame in zip(clients, frames, strict=True):
            self.assertTrue(client.is_read)
            client.give(frame[4000:])
            self.broker.wait()
            self.assertEqual(self.numbers(client), [1])
        self.assertEqual(self.totals(), (0, 0, 0))

    def test_whoever_goes_makes_room(self) -> None:
        clients = [self.broker.connect() for _ in range(3)]
        for client in clients:
            client.give(self.large(client)[:6000])
            client.connection.look_again()
        self.assertEqual([client.is_read for client in clients], [True, False, False])
        clients[0].hang_up()
        self.broker.wait()
        self.assertEqual([client.is_read for client in clients[1:]], [True, False])

    def test_whole_requests_are_served_in_a_flood(self) -> None:
        for _ in range(3):
            client = self.broker.connect()
            client.give(self.large(client)[:4500])
        self.assertTrue(self.factory.accounts.is_flooded)
        self.ping()
        self.assertEqual(self.numbers(), [1])

    def test_crowded(self) -> None:
        """A connection may have one request waiting, and none in addition, while too many wait."""
        for _ in range(6):
            client = self.broker.connect()
            self.broker.fetch_later("t", client=client, max_wait_ms=60_000)
        self.assertTrue(self.factory.accounts.is_crowded)
        self.broker.fetch_later("t", client=self.client, max_wait_ms=500)
        frames = self.client.frame(PING, 0)
        self.client.connection.dataReceived(frames)
        self.assertEqual((self.client.connection.finished, self.client.is_read), (1, False))
        self.broker.wait(0.6)
        self.assertEqual(self.numbers(), [1, 2])

    def test_a_large_fetch_does_not_wait_in_a_crowd(self) -> None:
        self.broker.create("wide", 150)
        for _ in range(6):
            self.broker.fetch_later("t", client=self.broker.connect(), max_wait_ms=60_000)
        request = fetch_request("wide", min_bytes=1, max_wait_ms=60_000)
        request.topics[0].partitions = [copy(request.topics[0].partitions[0]) for _ in range(150)]
        for index, part in enumerate(request.topics[0].partitions):
            part.partition = index
        self.client.send(request, 12)
        self.assertEqual(self.numbers(), [1])

    def test_a_fetch_brings_so_much_at_most(self) -> None:
        """However much it asks for; and less while others wait for their turn, but always something."""
        self.broker.create("large")
        for _ in range(9):
            self.broker.produce("large", batch_of(bytes(1_000_000)))
        self.factory.limits = evolve(self.factory.limits, outbound_bytes_max=256 << 20)
        self.factory.accounts = Accounts(self.factory.limits)
        for others, batches in ((0, 8), (1, 4), (1000, 1)):
            client = self.broker.connect()
            client.wire.clear()
            for _ in range(others):
                self.broker.node.broker.turns.later(lambda: None)
            client.send(fetch_request("large", max_bytes=50 << 20, partition_max_bytes=50 << 20), 12)
            ((_, answer),) = client.answers()
            self.assertEqual(len(answer.responses[0].partitions[0].records) // 1_000_000, batches)
            self.broker.wait()

    def test_choked(self) -> None:
        """Answers that nobody takes leave no room for others; fetches wait instead of coming back empty-handed."""
        self.broker.produce("t", batch_of(bytes(8000)))
        slow = [self.broker.connect() for _ in range(3)]
        for client in slow:
            client.wire.is_stuck = True
            client.connection._sender.blocked()
            client.send(fetch_request("t"), 12)
        self.assertGreater(self.factory.accounts.outbound_bytes, 10_000)
        self.assertEqual(self.factory.accounts.room_bytes, 0)
        self.broker.fetch_later("t", client=self.client, max_wait_ms=500)
        self.assertEqual(self.numbers(), [])
        for client in slow:
            client.hang_up()
        self.broker.wait(0.6)
        ((_, answer),) = self.client.answers()
        self.assertGreater(len(answer.responses[0].partitions[0].records), 8000)

    def test_waiting_requests_let_their_records_go(self) -> None:
        """What a produce with acks=all holds while it waits does not depend on how large it was."""
        self.factory.routes.find(0, 9)
        for size in (10, 100_000):
            self.assertEqual(self.factory.routes.find(0, 9).waiting_bytes(size), 4096)
        self.assertGreater(self.factory.routes.find(1, 12).waiting_bytes(100_000), 500_000)


class LettingInTests(SynchronousTestCase):
    """SE13: connections beyond the limits are closed at once, and leave no trace."""

    def test_what_the_kernel_keeps(self) -> None:
        """Each connection's socket is told socket.send.buffer.bytes."""
        told: list[int] = []

        def sender(transport: Any, producer: Any, kernel_bytes: int) -> Sender:
            told.append(kernel_bytes)
            return sender_over(transport, producer)

        self.patch(connection, "sender_over", sender)
        Broker(broker={"socket_send_buffer_bytes": 20_000}).start().connect()
        Broker().start().connect()
        self.assertEqual(told, [20_000, 102_400])

    def test_per_address_and_rate(self) -> None:
        broker = Broker(broker={"max_connections_per_ip": 3, "max_connection_creation_rate": 5}).start()
        clients = [broker.connect() for _ in range(4)]
        self.assertEqual([client.is_let_in for client in clients], [True, True, True, False])
        more = [broker.connect(f"10.0.1.{number}") for number in range(3)]
        self.assertEqual([client.is_let_in for client in more], [True, True, False])
        broker.wait(1)
        self.assertTrue(broker.connect("10.0.2.1").is_let_in)
        self.assertEqual((broker.node.factory.turned_away, len(broker.node.factory.connections)), (2, 6))

    def test_in_all(self) -> None:
        broker = Broker(broker={"max_connections": 2}).start()
        clients = [broker.connect() for _ in range(3)]
        self.assertEqual([client.is_let_in for client in clients], [True, True, False])
        clients[0].hang_up()
        broker.wait()
        self.assertTrue(broker.connect().is_let_in)


class BeforeServingTests(SynchronousTestCase):
    """A node that does not serve yet answers ApiVersions, and closes on anything else."""

    def test_forming(self) -> None:
        broker = Broker().start()
        broker.node.factory.is_serving = False
        client = broker.connect()
        client.send(PING, 0)
        self.assertEqual(client.answers()[0][1].error_code, ErrorCode.NONE)
        client.send(MetadataRequest(topics=None), 1)
        self.assertEqual((client.answers(), client.is_closed), ([], True))
