"""In which order a replica does what its core wants."""

from __future__ import annotations

from streamline.config import NodeConfig
from streamline.interfaces import Host, IQuorum
from streamline.raft import Message
from streamline.raft.messages import AppendRequest
from streamline.services.raft import RaftConsensus
from streamline.testing.contracts.quorum_harness import QuorumHarness


class OrderTests(QuorumHarness):
    """What somebody waits for comes first."""

    def make(self, host: Host, config: NodeConfig) -> IQuorum:
        """Make it."""
        return RaftConsensus(host, config)

    def test_a_proposal(self) -> None:
        """The others hear of it while it is written here, and that it is committed after whoever proposed it."""
        leader = self.the_leader()
        self.wait(1.0)
        index = leader.quorum.describe().high_watermark
        self.post.delay_s = 0.05  # so that its own disk is not what it waits for
        happened: list[str] = []
        send = self.post.send

        def listen(message: Message) -> None:
            if isinstance(message, AppendRequest) and message.sender == leader.key:
                happened.append("committed" if message.commit_index >= index else f"{len(message.entries)} sent")
            send(message)

        self.patch(self.post, "send", listen)
        leader.quorum.propose(b"one").addCallback(lambda _: happened.append("told"))
        self.run_until(lambda: happened.count("committed") >= 2)
        told = happened.index("told")
        self.assertEqual(happened[:told].count("1 sent"), 2)
        self.assertNotIn("committed", happened[:told])

    def test_how_long_it_takes(self) -> None:
        """From the proposal until a majority has it, which is when whoever proposed it is told; others count none."""
        leader = self.the_leader()
        self.wait(1.0)
        self.post.delay_s = 0.05
        times = leader.quorum.commit_times
        count, total_s, began_s = times.count, times.total_s, self.simulation.now
        told: list[object] = []
        leader.quorum.propose(b"one").addCallback(told.append)
        self.run_until(lambda: bool(told))
        self.assertEqual(times.count, count + 1)
        self.assertAlmostEqual(times.total_s - total_s, self.simulation.now - began_s)
        self.assertEqual([one.quorum.commit_times.count for one in self.others(leader)], [0, 0])

    def test_one_command_after_another(self) -> None:
        """Each needs a message to every other node and its answer, and no more; then all are told how far it is."""
        leader = self.the_leader()
        self.wait(1.0)
        self.post.sent.clear()
        for number in range(10):
            told: list[object] = []
            leader.quorum.propose(b"%d" % number).addCallback(told.append)
            self.run_until(lambda told=told: bool(told))
        self.assertLess(self.post.sent["AppendRequest"], 10 * 2 + 10)
        self.assertLess(self.post.sent["AppendResponse"], 10 * 2 + 10)
        done = self.simulation.now
        self.run_until(lambda: all(one.register.texts == leader.register.texts for one in self.members.values()))
        self.assertLess(self.simulation.now, done + 0.02)

    def test_applying_waits_for_no_disk(self) -> None:
        """What a follower knows to be committed it applies, however long it writes what came with that."""
        leader = self.the_leader()
        self.wait(1.0)
        follower = self.others(leader)[0]
        told: list[object] = []
        leader.quorum.propose(b"one").addCallback(told.append)
        self.run_until(lambda: bool(told))
        self.assertNotIn("one", follower.register.texts)
        follower.machine.platter.faults.stuck_until = self.simulation.now + 5.0
        leader.quorum.propose(b"two").addErrback(lambda _: None)
        self.wait(0.003)
        self.post.cut_off[leader.number] = None  # nobody says anything to it that it would answer
        self.wait(0.06)
        self.assertEqual(follower.register.texts[-1], "one")
