"""Brokers of three nodes: they register, live, die, and stop (simulated)."""

from __future__ import annotations

import random

from streamline.services.peer_call import NoAnswer
from streamline.wire.messages.peer import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from tests.services.brokers import SESSION_S, SOON_S, BrokerCase


class LivingTests(BrokerCase):
    """Who is there takes part; who is gone does not."""

    def test_all_take_part(self) -> None:
        for node in self.nodes:
            self.assertTrue(node.registrar.is_unfenced)
            self.assertEqual(node.registrar.broker_epoch, node.broker.epoch)
            self.assertEqual(node.storage.broker_epoch, node.broker.epoch)
            self.assertEqual(node.broker.directory_id, node.room.peers.identity.directory_id)

    def test_they_stay(self) -> None:
        """Nobody is fenced who lives, for however long."""
        epochs = [node.broker.epoch for node in self.nodes]
        index = self.nodes[0].metadata.image.index
        self.world.run(20 * SESSION_S)
        self.assertTrue(self.world.agrees(1, 2, 3))
        self.assertEqual([node.broker.epoch for node in self.nodes], epochs)
        self.assertEqual(self.nodes[0].metadata.image.index, index, "and nothing is agreed on for that")

    def test_a_crash(self) -> None:
        """Nobody waits for a process that is known to be gone."""
        dead = self.follower()
        self.make_topic(dead.node_id, *self.others(dead))
        dead.machine.crash(power=False)
        self.is_soon(*self.others(dead))
        self.assertEqual(self.partition().leader, self.others(dead)[0])

    def test_a_crash_of_the_controller(self) -> None:
        """The next one knows that it is gone, and does not give it another time-out."""
        dead = self.world.controller
        dead.machine.crash(power=False)
        self.is_soon(*self.others(dead), within_s=SESSION_S / 2)

    def test_nobody_waits_for_the_last_controller(self) -> None:
        """Who has asked it something hears that there is no answer when another one leads, not when its time is up."""
        broker, heard = self.follower(), []
        self.world.controller.machine.crash(power=True)
        request = BrokerHeartbeatRequest(broker_id=broker.node_id, broker_epoch=broker.broker.epoch)
        asking = broker.line.ask(request, BrokerHeartbeatResponse, 60.0)
        broker.line.listen(lambda: heard.append(asking.called))
        self.world.run(10.0, lambda: bool(heard))
        self.assertEqual(heard[:1], [True])
        self.failureResultOf(asking, NoAnswer)

    def test_silence(self) -> None:
        """Who loses power is given a whole time-out, and no more than a little on top of it."""
        dead = self.follower()
        dead.machine.crash(power=True)
        self.world.run(SESSION_S - 0.6)
        self.assertEqual(self.world.controller.active, [1, 2, 3])
        self.is_soon(*self.others(dead), within_s=0.7)

    def test_silence_of_the_controller(self) -> None:
        """The next one gives everybody a whole time-out from then on."""
        dead = self.world.controller
        dead.machine.crash(power=True)
        self.is_soon(*self.others(dead), within_s=2 * SESSION_S)

    def test_a_hint_that_was_wrong(self) -> None:
        """A broker that is fenced although it lives is back at once (a hint does no harm)."""
        broker = self.follower()
        epoch = broker.broker.epoch
        self.world.controller.membership.peer_gone(broker.room.formation.me.key)
        self.is_soon(*self.others(broker))
        self.is_soon(1, 2, 3, within_s=0.1)
        self.assertEqual(broker.broker.epoch, epoch)

    def test_it_comes_back(self) -> None:
        """As another incarnation, with another epoch."""
        dead = self.follower()
        before = dead.broker
        dead.machine.crash(power=False)
        self.is_soon(*self.others(dead))
        dead.start()
        self.assertTrue(self.world.run(SESSION_S, lambda: dead in self.world.up and self.world.agrees(1, 2, 3)))
        self.assertGreater(dead.broker.epoch, before.epoch)
        self.assertNotEqual(dead.broker.incarnation_id, before.incarnation_id)

    def test_it_comes_back_before_anybody_noticed(self) -> None:
        """While its last process may live, no other is taken in; that ends with the session."""
        dead = self.follower()
        before = dead.broker.epoch
        dead.machine.crash(power=True)
        self.world.run(SOON_S)
        dead.start()
        back = self.world.run(2 * SESSION_S, lambda: dead in self.world.up and dead.registrar.is_unfenced)
        self.assertTrue(back)
        self.assertGreater(dead.broker.epoch, before)

    def test_it_is_told_that_it_is_another(self) -> None:
        """KR15: it registers again, and is given the epoch that it has."""
        for node in self.nodes:
            epoch = node.broker.epoch
            node.registrar.broker_epoch = epoch - 1
            self.world.run(2 * SOON_S)
            self.assertEqual((node.registrar.broker_epoch, node.broker.epoch), (epoch, epoch))

    def test_a_controller_that_is_cut_off(self) -> None:
        """Brokers live on with the next one; it hears that it is none, and lives on as well."""
        cut = self.world.controller
        others = [node for node in self.nodes if node is not cut]
        self.world.fabric.cut([cut.machine], [node.machine for node in others])
        fenced = self.world.run(3 * SESSION_S, lambda: all(node.active == self.others(cut) for node in others))
        self.assertTrue(fenced, [node.active for node in others])
        self.assertTrue(self.world.run(SESSION_S, lambda: not cut.controllership.is_active))
        self.assertTrue(cut.registrar.is_unfenced, "as far as it knows")
        self.world.fabric.heal()
        self.is_soon(1, 2, 3, within_s=2 * SESSION_S)

    def test_whatever_happens(self) -> None:
        """Crashes, power cuts, stalls and split networks: afterwards everybody is there again, as itself."""
        for seed in range(8):
            self.begin(seed=seed)
            rng = random.Random(seed)
            for _ in range(6):
                self.disturb(rng)
                self.world.run(rng.random() * 2 * SESSION_S)
            self.world.fabric.heal()
            for node in self.nodes:
                if not node.machine.running:
                    node.start()
            self.assertTrue(self.world.run(60.0, self.are_back), f"seed {seed}: {[node.active for node in self.nodes]}")
            self.world.run(SOON_S)
            for node in self.nodes:
                self.assertEqual(node.registrar.broker_epoch, node.broker.epoch, f"seed {seed}")

    def are_back(self) -> bool:
        is_up = len(self.world.up) == 3 and self.world.agrees(1, 2, 3)
        return is_up and all(node.registrar.is_unfenced for node in self.nodes)

    def disturb(self, rng: random.Random) -> None:
        node = rng.choice(self.nodes)
        process = node.machine.process
        if not node.machine.running or process is None:
            node.start()
        elif rng.random() < 0.5:
            node.machine.crash(power=rng.random() < 0.5)
        elif rng.random() < 0.5:
            process.reactor.stall(rng.random() * 2 * SESSION_S)
        elif rng.random() < 0.5:
            self.world.fabric.cut([node.machine], [other.machine for other in self.nodes if other is not node])
        else:
            self.world.fabric.heal()

    def test_somebody_else_under_that_id(self) -> None:
        """Word of another disk's process says nothing about this one (RF15)."""
        key = self.follower().room.formation.me.key._replace(directory_id=b"other disk here!")
        before = self.world.controller.metadata.image
        self.world.controller.membership.peer_gone(key)
        self.world.run(SOON_S)
        self.assertIs(self.world.controller.metadata.image, before)

    def test_a_controller_that_stood_still(self) -> None:
        """RF18: it has heard nobody, and takes nobody for gone because of that."""
        self.begin(1, max_voters=1)
        second = self.world.node(2, [1])
        second.start()
        self.assertTrue(self.world.run(20.0, lambda: second in self.world.up and self.world.agrees(1, 2)))
        index = second.metadata.image.index
        process = self.nodes[0].machine.process
        assert process is not None
        process.reactor.stall(1.5 * SESSION_S)
        self.world.run(4 * SESSION_S)
        self.assertTrue(self.world.agrees(1, 2))
        self.assertEqual(second.metadata.image.index, index)


class LeavingTests(BrokerCase):
    """KR32: others lead and all have heard of it before a broker stops."""

    def test_leaders_move(self) -> None:
        leaving = self.follower()
        first, second = self.others(leaving)
        self.make_topic(leaving.node_id, first, second)
        self.world.result_of(leaving.registrar.leave(), SOON_S)
        for node in self.nodes:
            state = node.metadata.image.partition("t", 0)
            assert state is not None
            self.assertEqual((state.leader, state.isr), (first, (first, second)))
        self.is_soon(first, second)

    def test_the_controller_leaves(self) -> None:
        leaving = self.world.controller
        self.make_topic(leaving.node_id, *self.others(leaving))
        self.world.result_of(leaving.registrar.leave(), SOON_S)
        self.assertEqual(self.partition().leader, self.others(leaving)[0])

    def test_it_says_nothing_afterwards(self) -> None:
        """Or it might be taken for somebody who has come back."""
        leaving = self.follower()
        self.world.result_of(leaving.registrar.leave(), SOON_S)
        self.world.run(SESSION_S)
        self.assertTrue(self.world.agrees(*self.others(leaving)))

    def test_nobody_answers(self) -> None:
        """Without a quorum nobody can let it go; it goes."""
        leaving = self.nodes[0]
        for node in self.nodes[1:]:
            node.machine.crash(power=True)
        self.world.result_of(leaving.registrar.leave(), SESSION_S + 2)

    def test_alone(self) -> None:
        """There is nobody to lead in its place, and nothing to wait for."""
        self.begin(1)
        index = self.nodes[0].metadata.image.index
        self.successResultOf(self.nodes[0].registrar.leave())
        self.assertEqual(self.nodes[0].metadata.image.index, index)

    def test_twice(self) -> None:
        leaving = self.follower()
        both = leaving.registrar.leave(), leaving.registrar.leave()
        for left in both:
            self.world.result_of(left, SOON_S)
        self.successResultOf(leaving.registrar.leave())

    def test_switched_off(self) -> None:
        self.begin(controlled_shutdown_enable=False)
        self.successResultOf(self.nodes[0].registrar.leave())


class AloneTests(BrokerCase):
    """A node that is a cluster of its own is there with one command."""

    def setUp(self) -> None:
        """Start it."""
        self.begin(1)

    def test_one_command(self) -> None:
        node = self.nodes[0]
        self.assertEqual(node.broker.epoch, node.metadata.image.index)

    def test_again_after_a_clean_stop(self) -> None:
        """What it led it leads, as if nothing had been."""
        node = self.nodes[0]
        self.make_topic(1)
        before, epoch = self.partition(), node.broker.epoch
        self.world.result_of(node.storage.stop())
        node.machine.crash(power=False)
        node.start()
        self.assertTrue(self.world.run(SOON_S, lambda: node.ended == [None] and node.registrar.is_unfenced))
        self.assertEqual(node.broker.epoch, node.metadata.image.index)
        self.assertGreater(node.broker.epoch, epoch)
        self.assertEqual(self.partition(), before)

    def test_again_after_a_crash(self) -> None:
        """KR21: it may have lost records, and says so before it leads again."""
        node = self.nodes[0]
        self.make_topic(1)
        before = self.partition()
        node.machine.crash(power=False)
        node.start()
        self.assertTrue(self.world.run(SOON_S, lambda: node.ended == [None] and node.registrar.is_unfenced))
        after = self.partition()
        self.assertEqual((after.leader, after.isr, after.is_recovering), (1, (1,), True))
        self.assertGreater(after.leader_epoch, before.leader_epoch)
