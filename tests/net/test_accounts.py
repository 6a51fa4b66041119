"""What all clients hold together, and who gets no more of it."""

from __future__ import annotations

from typing import Any, cast

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from streamline.config import BrokerConfig
from streamline.net.accounts import LEAST_ROOM_BYTES, Accounts, Share
from streamline.net.limits import Limits, Turnstile

LIMITS = evolve(
    Limits.of(BrokerConfig(), 1000), produce_bytes_max=0, inbound_bytes_max=100, waiting_bytes_max=100,
    outbound_bytes_max=100,
)


class Holder:
    """Notes that it was asked to look again."""

    def look_again(self) -> None:
        """Do nothing."""


def share() -> Share:
    """Return a connection's share."""
    return Share(Holder())


class AccountsTests(SynchronousTestCase):
    """The sums are right at any time, and follow from them who may go on."""

    def setUp(self) -> None:
        """Make them."""
        self.accounts = Accounts(LIMITS)

    def settle(self, of: Share, inbound: int = 0, waiting: int = 0, outbound: int = 0) -> bool:
        """Say what a connection holds."""
        return self.accounts.settle(of, inbound, waiting, outbound)

    @given(st.lists(st.tuples(st.integers(0, 3), *[st.integers(0, 80)] * 3), max_size=30))
    def test_sums(self, steps: list[tuple[int, int, int, int]]) -> None:
        accounts, shares = Accounts(LIMITS), [share() for _ in range(4)]
        held = {number: (0, 0, 0) for number in range(4)}
        for number, *amounts in steps:
            accounts.settle(shares[number], *amounts)
            held[number] = tuple(amounts)  # type: ignore[assignment]
            sums = [sum(column) for column in zip(*held.values(), strict=True)]
            self.assertEqual([accounts.inbound_bytes, accounts.waiting_bytes, accounts.outbound_bytes], sums)
            self.assertEqual(accounts.is_tight, any(one > 100 for one in sums))
            self.assertEqual(accounts.room_bytes, max(0, 200 - sums[2]))

    def test_room(self) -> None:
        """What there is, or a little for those that take their answers while others do not; never twice too much."""
        limits = evolve(LIMITS, outbound_bytes_max=10 * LEAST_ROOM_BYTES)
        accounts, slow = Accounts(limits), share()
        for held, room in ((0, 10), (4, 6), (9, 1), (9.5, 1), (10, 1), (19, 1), (19.5, 0.5), (20, 0), (30, 0)):
            accounts.settle(slow, 0, 0, int(held * LEAST_ROOM_BYTES))
            self.assertEqual(accounts.room_bytes, room * LEAST_ROOM_BYTES, held)
        accounts.settle(slow, 0, 0, 4 * LEAST_ROOM_BYTES)
        accounts.promised_bytes = 3 * LEAST_ROOM_BYTES
        self.assertEqual(accounts.room_bytes, 3 * LEAST_ROOM_BYTES, "what is being read has its room already")

    def test_at_least_one_may_always_be_read(self) -> None:
        """The one that has held part of a request longest; so that all get on, one after another."""
        first, second, idle = share(), share(), share()
        self.settle(first, inbound=60)
        self.settle(second, inbound=60)
        self.assertTrue(self.accounts.is_flooded)
        self.assertEqual([self.accounts.may_read(one) for one in (first, second, idle)], [True, False, True])
        self.settle(first)
        self.assertTrue(self.accounts.may_read(second))

    def test_what_is_left_is_for_the_rest_of_one(self) -> None:
        """So that all together never take more than their limit, but where that one could be more than half of it."""
        for produce, flood in ((30, 70), (50, 50), (80, 50), (200, 50)):
            accounts, one = Accounts(evolve(LIMITS, produce_bytes_max=produce)), share()
            accounts.settle(one, flood, 0, 0)
            self.assertFalse(accounts.is_flooded, produce)
            accounts.settle(one, flood + 1, 0, 0)
            self.assertTrue(accounts.is_flooded, produce)

    def test_who_is_woken(self) -> None:
        first, second, third = share(), share(), share()
        for one in (first, second, third):
            self.settle(one, inbound=60)
        self.assertTrue(self.settle(first), "the next may be read")
        self.assertEqual(list(self.accounts.held_up()), [second.holder], "and no more while there is a flood")
        self.assertTrue(self.settle(second))
        self.assertEqual(list(self.accounts.held_up()), [third.holder])
        self.assertFalse(self.settle(third), "nobody was held up any more")

    def test_growing_wakes_nobody(self) -> None:
        first, second = share(), share()
        self.settle(first, inbound=60)
        self.assertFalse(self.settle(second, inbound=60))
        self.assertFalse(self.settle(first, inbound=70))

    def test_crowded(self) -> None:
        """Who has a request waiting gets no other; who has none does."""
        waits, new = share(), share()
        self.settle(waits, waiting=101)
        self.assertTrue(self.accounts.is_crowded)
        self.assertEqual([self.accounts.may_ask(waits), self.accounts.may_ask(new)], [False, True])
        self.settle(waits, waiting=100)
        self.assertTrue(self.accounts.may_ask(waits))

    def test_choked(self) -> None:
        """Who does not take answers gets no others; when it is twice too much, nobody does."""
        slow, new = share(), share()
        self.settle(slow, outbound=150)
        self.assertEqual([self.accounts.may_ask(slow), self.accounts.may_ask(new)], [False, True])
        self.settle(slow, outbound=201)
        self.assertEqual([self.accounts.may_ask(slow), self.accounts.may_ask(new)], [False, False])


class LimitsTests(SynchronousTestCase):
    """Limits follow from the settings and from what the system allows (reliability 6.1)."""

    def test_defaults(self) -> None:
        limits = Limits.of(BrokerConfig(), 20_000)
        self.assertEqual(limits.connections_max, 16_000)
        self.assertEqual((limits.per_address_max, limits.per_second_max), (2000, 500))
        self.assertEqual(limits.frame_bytes_max(0), 100 << 20)
        self.assertEqual({limits.frame_bytes_max(key) for key in range(1, 100)}, {1 << 20})
        self.assertEqual((limits.idle_s_max, limits.frame_s_max, limits.stalled_s_max), (600, 30, 60))

    def test_a_system_with_few_sockets(self) -> None:
        self.assertEqual(Limits.of(BrokerConfig(), 100).connections_max, 80)
        self.assertEqual(Limits.of(BrokerConfig(), 1).connections_max, 1)

    def test_settings(self) -> None:
        limits = Limits.of(BrokerConfig(max_connections=5, socket_request_max_bytes=1024), 20_000)
        self.assertEqual((limits.connections_max, limits.frame_bytes_max(0)), (5, 1024))
        self.assertEqual(limits.frame_bytes_max(3), 65_536, "other requests need some room all the same")


class TurnstileTests(SynchronousTestCase):
    """SE13: in all, from one address, and in a second."""

    def setUp(self) -> None:
        """Let five in, three from an address, four in a second."""
        self.clock = cast(Any, Clock())
        limits = evolve(LIMITS, connections_max=5, per_address_max=3, per_second_max=4)
        self.turnstile = Turnstile(limits, self.clock)

    def enter(self, address: str = "a") -> str:
        """Try to come in; return why not."""
        return self.turnstile.enter(address) or ""

    def test_from_one_address(self) -> None:
        self.assertEqual([self.enter() for _ in range(3)], ["", "", ""])
        self.assertIn("max.connections.per.ip", self.enter())
        self.assertEqual(self.enter("b"), "")
        self.turnstile.leave("a")
        self.clock.advance(1)
        self.assertEqual(self.enter(), "")

    def test_in_all(self) -> None:
        for number in range(5):
            self.assertEqual(self.enter(str(number)), "")
            self.clock.advance(1)
        self.assertIn("max.connections", self.enter("x"))
        self.turnstile.leave("3")
        self.assertEqual((self.enter("x"), self.turnstile.inside), ("", 5))

    def test_in_a_second(self) -> None:
        for number in range(4):
            self.assertEqual(self.enter(str(number)), "")
        self.assertIn("max.connection.creation.rate", self.enter("x"))
        self.clock.advance(1)
        self.assertEqual(self.enter("x"), "")

    def test_addresses_that_left_are_forgotten(self) -> None:
        for number in range(1000):
            self.clock.advance(1)
            self.enter(str(number))
            self.turnstile.leave(str(number))
        self.assertEqual(self.turnstile.inside, 0)
        self.assertEqual(len(self.turnstile._by_address), 0)
