"""Registering, staying alive, stopping."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from streamline.cluster.commands import RegisterBroker
from streamline.cluster.membership import (
    Heartbeat,
    Pulse,
    Registered,
    Registration,
    crashed,
    fence_silent,
    heartbeat,
    register,
    register_here,
)
from streamline.cluster.sessions import Sessions
from streamline.errors import ErrorCode, Refused
from streamline.model import NO_LEADER, Endpoint
from tests.cluster.cluster_case import DISKS, ClusterCase

NEW = b"n" * 16


class MembershipCase(ClusterCase):
    """Everybody was heard of at second 0; the time-out is 9 seconds."""

    def setUp(self) -> None:
        """Begin to lead."""
        super().setUp()
        self.sessions = Sessions(9.0)
        self.sessions.adopt(self.image, 4.5)  # so everybody was heard of at 0.0

    def register(self, node: int = 1, now: float = 0.0, **more: Any) -> Registered:
        """Register another process of a node, which stopped in order, unless C{more} says otherwise."""
        known = self.image.brokers.get(node)
        given: dict[str, Any] = {
            "node_id": node, "cluster_id": "c", "incarnation_id": NEW, "directory_id": DISKS[node],
            "endpoint": Endpoint("h", node), "previous_epoch": known.epoch if known else -1,
        }  # fmt: skip
        return register(self.image, self.sessions, now, Registration(**(given | more)))

    def is_refused(self, code: ErrorCode, **more: Any) -> None:
        """Expect a registration to be refused."""
        self.assertEqual(self.assertRaises(Refused, self.register, **more).code, code)

    def beat(self, node: int = 1, now: float = 1.0, index: int = 99, **more: Any) -> Pulse:
        """Send a heartbeat; have agreed on what follows."""
        epoch = self.image.brokers[node].epoch if node in self.image.brokers else 1
        beat = Heartbeat(**({"node_id": node, "broker_epoch": epoch, "metadata_index": index} | more))
        pulse = heartbeat(self.image, self.sessions, now, beat)
        self.do(pulse.commands)
        return pulse


class RegistrationTests(MembershipCase):
    """See Note [Two of one name]."""

    def test_a_new_node(self) -> None:
        registered = self.register(5, peer_endpoint=Endpoint("p", 5), rack="r", features={"f": (0, 2)})
        self.do(registered.commands)
        broker = self.image.brokers[5]
        self.assertEqual((broker.epoch, broker.fenced, broker.rack), (21, True, "r"))
        self.assertEqual((broker.endpoint, broker.peer_endpoint), (Endpoint("h", 5), Endpoint("p", 5)))
        self.assertEqual((broker.directory_id, broker.features), (DISKS[5], {"f": (0, 2)}))

    def test_another_cluster(self) -> None:
        self.is_refused(ErrorCode.INCONSISTENT_CLUSTER_ID, node=5, cluster_id="d")

    def test_features(self) -> None:
        """A node that knows too little, or too much only, would not understand the rest."""
        self.image = evolve(self.image, features={"f": 2})
        for known in ({}, {"f": (0, 1)}, {"f": (3, 4)}):
            self.is_refused(ErrorCode.UNSUPPORTED_VERSION, node=5, features=known)
        self.register(5, features={"f": (1, 2), "g": (0, 9)})

    def test_while_the_other_is_heard_of(self) -> None:
        """KR15: two processes of one node id."""
        self.is_refused(ErrorCode.DUPLICATE_BROKER_REGISTRATION, now=8.9, directory_id=b"o" * 16)
        self.assertTrue(self.register(now=9.0, directory_id=b"o" * 16).commands)

    def test_from_the_same_directory(self) -> None:
        """One process at a time has it, so the last one is gone."""
        self.assertTrue(self.register(now=8.9).commands)

    def test_once_the_other_is_known_to_be_gone(self) -> None:
        self.do(crashed(self.image, self.sessions, 1, 11))
        self.assertTrue(self.register(now=0.0).commands)

    def test_the_same_process_again(self) -> None:
        """The answer was lost: it is given once more, and nothing happens."""
        again: dict[str, Any] = {"incarnation_id": self.image.brokers[1].incarnation_id, "previous_epoch": -1}
        registered = self.register(**again)
        self.assertEqual((registered.commands, registered.epoch), ((), 11))

    def test_the_same_process_with_another_address(self) -> None:
        """It is taken in anew, and lost nothing meanwhile."""
        self.given(isr=(2,), elr=(1,), leader=2)
        again: dict[str, Any] = {"incarnation_id": self.image.brokers[1].incarnation_id, "previous_epoch": -1}
        self.do(self.register(**again, endpoint=Endpoint("elsewhere", 1)).commands)
        self.assertEqual((self.image.brokers[1].endpoint.host, self.image.brokers[1].epoch), ("elsewhere", 21))
        self.shows(elr=(1,))

    def test_it_begins_fenced(self) -> None:
        """Before it has caught up it leads nothing; others have what the last process led."""
        self.do(self.register(now=9.0).commands)
        self.shows(leader=2, isr=(2, 3))
        self.assertFalse(self.image.is_active(1))

    def test_after_a_clean_stop(self) -> None:
        """KR21: the epoch that it wrote down last of all is the one that is known here."""
        self.given(isr=(2,), elr=(1,), leader=2)
        command = self.register(now=9.0).commands[0]
        assert isinstance(command, RegisterBroker)
        self.assertTrue(command.is_clean)
        self.do(self.register(now=9.0).commands)
        self.shows(elr=(1,))

    def test_after_any_other_end(self) -> None:
        """KR21: it leaves the ISR and the ELR of every partition."""
        for previous in (-1, 10):
            self.given(isr=(2,), elr=(1,), leader=2)
            self.given(1, isr=(1,), leader=1)
            before = self.image
            self.do(self.register(now=9.0, previous_epoch=previous).commands)
            self.shows(0, isr=(2,), elr=(), last_known_elr=(1,))
            self.shows(1, isr=(), elr=(), last_known_elr=(1,), leader=NO_LEADER)
            self.image = before

    def test_with_another_disk(self) -> None:
        """RF15: whatever it says of its end."""
        self.given(isr=(2,), elr=(1,), leader=2)
        self.do(self.register(now=9.0, directory_id=b"d" * 16).commands)
        self.shows(elr=())

    def test_nothing_is_known_of_it(self) -> None:
        """An epoch of a registration that is gone proves nothing."""
        command = self.register(5, previous_epoch=9).commands[0]
        assert isinstance(command, RegisterBroker)
        self.assertFalse(command.is_clean)


class HereTests(MembershipCase):
    """The broker of the process that decides has caught up as soon as it is taken in."""

    def setUp(self) -> None:
        """Nobody else is there; node 1 leads alone."""
        super().setUp()
        self.given(isr=(1,), elr=(2,), leader=1)
        for node in (2, 3, 4):
            self.broker(node, fenced=True)

    def arrive(self, node: int = 1, **more: Any) -> Registered:
        """Register another process of the node that decides."""
        known = self.image.brokers.get(node)
        given: dict[str, Any] = {
            "node_id": node, "cluster_id": "c", "incarnation_id": NEW, "directory_id": DISKS[node],
            "endpoint": Endpoint("h", node), "previous_epoch": known.epoch if known else -1,
        }  # fmt: skip
        registered = register_here(self.image, self.sessions, 0.0, Registration(**(given | more)))
        self.do(registered.commands)
        return registered

    def test_a_new_node(self) -> None:
        self.broker(1, fenced=True)
        self.given(isr=(), elr=(1,), leader=NO_LEADER)
        self.arrive(5)
        self.assertTrue(self.image.is_active(5))

    def test_after_a_clean_stop(self) -> None:
        """It has everything, and leads what it led."""
        before = self.image.topics
        self.arrive()
        self.assertTrue(self.image.is_active(1))
        self.assertEqual(self.image.topics, before)

    def test_others_are_there(self) -> None:
        """They lead until it has opened what it has, as for any other broker."""
        self.broker(2, fenced=False)
        self.given(isr=(1, 2), leader=1)
        self.arrive()
        self.assertFalse(self.image.is_active(1))
        self.shows(leader=2, isr=(2,))

    def test_the_last_process_is_gone(self) -> None:
        """However short ago it was heard of: its directory is held by this one."""
        refusal = self.assertRaises(Refused, self.arrive, directory_id=b"d" * 16)
        self.assertEqual(refusal.code, ErrorCode.DUPLICATE_BROKER_REGISTRATION)
        self.assertEqual(len(self.arrive().commands), 1)

    def test_after_any_other_end(self) -> None:
        """KR21: first it leaves what it may have lost records of."""
        self.arrive(previous_epoch=-1)
        self.assertFalse(self.image.is_active(1))
        self.shows(leader=NO_LEADER, isr=(), elr=(2,), last_known_elr=(1,))

    def test_somebody_has_to_be_elected(self) -> None:
        """That follows once it is there."""
        self.given(isr=(), elr=(1,), leader=NO_LEADER)
        self.broker(1, fenced=True)
        self.arrive()
        self.assertFalse(self.image.is_active(1))

    def test_after_two_ends_in_a_row(self) -> None:
        """The only replica of all stopped before it was unfenced: it is elected when it is, and not passed over."""
        self.given(replicas=(1,), isr=(), elr=(), last_known_elr=(1,), leader=NO_LEADER)
        self.broker(1, fenced=True)
        self.arrive(previous_epoch=-1)
        self.assertFalse(self.image.is_active(1))
        self.shows(leader=NO_LEADER, last_known_elr=(1,))

    def test_the_same_process_again(self) -> None:
        registered = self.arrive(incarnation_id=self.image.brokers[1].incarnation_id)
        self.assertEqual((registered.commands, registered.epoch), ((), 11))


class HeartbeatTests(MembershipCase):
    """What a broker is told, and what follows for everybody."""

    def pulse(self, pulse: Pulse) -> tuple[bool, bool, bool]:
        """Return what is answered."""
        return pulse.is_caught_up, pulse.is_fenced, pulse.may_stop

    def test_all_is_well(self) -> None:
        pulse = self.beat()
        self.assertEqual((self.pulse(pulse), pulse.commands), ((True, False, False), []))

    def test_strangers(self) -> None:
        """KR15: what an earlier process says keeps nothing alive."""
        refusal = self.assertRaises(Refused, self.beat, broker_epoch=10)
        self.assertEqual(refusal.code, ErrorCode.STALE_BROKER_EPOCH)
        self.assertEqual(self.assertRaises(Refused, self.beat, 9).code, ErrorCode.BROKER_ID_NOT_REGISTERED)
        self.assertEqual(self.sessions.overdue(self.image, 8.9), [])
        self.assertEqual(self.sessions.overdue(self.image, 9.0), [1, 2, 3, 4])

    def test_unfenced_once_caught_up(self) -> None:
        """KR15: with its own registration, which is the index of its epoch."""
        self.broker(1, fenced=True)
        self.given(isr=(), elr=(1,), leader=NO_LEADER)
        self.assertEqual(self.pulse(self.beat(index=10)), (False, True, False))
        self.assertFalse(self.image.is_active(1))
        self.assertEqual(self.pulse(self.beat(index=11)), (True, False, False))
        self.assertTrue(self.image.is_active(1))
        self.shows(leader=1)

    def test_fenced_for_as_long_as_it_wants(self) -> None:
        self.assertEqual(self.pulse(self.beat(wants_fence=True)), (True, True, False))
        self.shows(leader=2)
        self.assertEqual(self.pulse(self.beat(wants_fence=True)), (True, True, False))
        self.assertEqual(self.pulse(self.beat()), (True, False, False))

    def test_stopping(self) -> None:
        """KR32: leaders move, the others hear of it, and then it may stop."""
        for node in (2, 3, 4):
            self.beat(node, index=20)
        self.assertEqual(self.pulse(self.beat(wants_shutdown=True)), (True, False, False))
        self.shows(leader=2, isr=(2, 3))
        moved_at = self.image.index
        self.assertEqual(self.pulse(self.beat(wants_shutdown=True)), (True, False, False))
        for node in (2, 3):
            self.beat(node, index=moved_at)
        self.assertEqual(self.pulse(self.beat(wants_shutdown=True)), (True, False, False))
        self.beat(4, index=moved_at)
        self.assertEqual(self.pulse(self.beat(wants_shutdown=True)), (True, True, True))
        self.assertTrue(self.image.brokers[1].fenced)

    def test_what_comes_later_is_not_waited_for(self) -> None:
        """Only what it has led; or it could never stop while others work."""
        self.beat(wants_shutdown=True)
        moved_at = self.image.index
        self.beat(wants_shutdown=True)
        self.image = evolve(self.image, index=50)
        for node in (2, 3, 4):
            self.beat(node, index=moved_at)
        self.assertTrue(self.beat(wants_shutdown=True).may_stop)

    def test_who_is_not_there_is_not_waited_for(self) -> None:
        self.beat(wants_shutdown=True)
        for node in (2, 3, 4):
            self.broker(node, fenced=True)
        self.assertTrue(self.beat(wants_shutdown=True).may_stop)

    def test_stopping_of_the_fenced(self) -> None:
        """It has nothing to hand over."""
        self.broker(1, fenced=True)
        pulse = self.beat(wants_shutdown=True)
        self.assertEqual((self.pulse(pulse), pulse.commands), ((True, True, True), []))

    def test_stopping_at_once(self) -> None:
        self.assertEqual(self.pulse(self.beat(wants_fence=True, wants_shutdown=True)), (True, True, True))
        self.shows(leader=2, isr=(2, 3))

    def test_who_has_stopped_may_come_back_at_once(self) -> None:
        self.beat(now=1.0, wants_fence=True, wants_shutdown=True)
        self.assertTrue(self.register(now=1.0).commands)


class SilenceTests(MembershipCase):
    """Who is not heard of is fenced; a crash is not a silence."""

    def test_silent(self) -> None:
        for now in (2.0, 6.0):
            self.assertEqual(fence_silent(self.image, self.sessions, now), [])
            for node in (3, 4):
                self.beat(node, now)
        self.do(fence_silent(self.image, self.sessions, 9.0))
        self.assertEqual([node for node, broker in self.image.brokers.items() if broker.fenced], [1, 2])
        self.shows(leader=3, isr=(3,), elr=(2,))
        self.assertEqual(fence_silent(self.image, self.sessions, 10.0), [])

    def test_everybody_has_time_after_an_election(self) -> None:
        """Half a time-out: brokers say that they live as soon as they hear of another controller."""
        self.sessions.adopt(self.image, 100.0)
        self.assertEqual(self.sessions.overdue(self.image, 104.4), [])
        self.assertEqual(self.sessions.overdue(self.image, 104.5), [1, 2, 3, 4])

    def test_when_to_look(self) -> None:
        """When the first of those who are there is overdue; the fenced are not waited for."""
        self.assertEqual(self.sessions.deadline(self.image), 9.0)
        self.broker(1, fenced=True)
        for node in (2, 3, 4):
            self.sessions.heard(node, 10 + node, 5, float(node))
        self.assertEqual(self.sessions.deadline(self.image), 11.0)
        self.sessions.forget(3)
        self.assertEqual(self.sessions.deadline(self.image), 0.0)
        for node in (2, 3, 4):
            self.broker(node, fenced=True)
        self.assertIsNone(self.sessions.deadline(self.image))

    def test_a_controller_that_was_away_itself(self) -> None:
        """RF18: nobody could be heard of meanwhile."""
        self.sessions.heard(4, 14, 5, 58.0)
        self.sessions.slept(60.0)
        self.assertEqual(self.sessions.overdue(self.image, 64.4), [])
        self.assertEqual(self.sessions.overdue(self.image, 64.5), [1, 2, 3])
        self.assertEqual(self.sessions.overdue(self.image, 67.0), [1, 2, 3, 4])

    def test_a_crash(self) -> None:
        self.do(crashed(self.image, self.sessions, 1, 11))
        self.shows(leader=2, isr=(2, 3))
        self.assertEqual(crashed(self.image, self.sessions, 1, 11), [])

    def test_a_crash_of_an_earlier_process(self) -> None:
        """It is told late: another is there by now."""
        self.assertEqual(crashed(self.image, self.sessions, 1, 10), [])
        self.assertEqual(crashed(self.image, self.sessions, 9, 1), [])
        self.assertEqual(self.sessions.overdue(self.image, 1.0), [])

    def test_time_only_goes_forward(self) -> None:
        self.sessions.heard(1, 11, 5, 8.0)
        self.sessions.heard(1, 11, 3, 7.0)
        self.assertTrue(self.sessions.is_alive(1, 11, 16.9))
        self.assertEqual(self.sessions.metadata_index(1), 5)

    def test_a_session_is_of_one_registration(self) -> None:
        self.sessions.heard(1, 11, 5, 8.0)
        self.assertFalse(self.sessions.is_alive(1, 21, 8.0))
        self.sessions.heard(1, 21, 3, 8.0)
        self.assertEqual(self.sessions.metadata_index(1), 3)
