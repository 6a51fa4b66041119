"""
Scenarios: a text with commands, and after each what followed from it.

    > campaign 1
    1 becomes prospective in term 0
    1 -> 2 VoteRequest term 0: log ends at 0/0 pre

A line that begins with C{> } is a command, C{#} begins a comment, and all other lines are what
the last command brought about.  C{python -m tests.raft.scenario [NAME...]} runs the
files and writes down what happens now: read the difference, and keep it only if you know why.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from attrs import evolve

from streamline.raft import (
    AddLearner,
    AddVoter,
    Configuration,
    Entry,
    InvariantBroken,
    Message,
    NotProposed,
    Remove,
    Replica,
    ReplicaKey,
)
from streamline.raft.membership import Change
from streamline.raft.roles import Leader
from tests.raft import words
from tests.raft.cluster import SETTINGS, Cluster, commands, key, voters

SCENARIOS = Path(__file__).with_name("scenarios")


def keyed(name: str) -> ReplicaKey:
    """Read a replica's name: a node's id, and a stroke for each disk after the first."""
    return key(int(name.rstrip("'")), 1 + name.count("'"))


class Scenario:
    """
    One scenario as it runs.

    @ivar lines: what the current command brought about.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._settings = SETTINGS
        self._logs: dict[int, tuple[Entry, ...]] = {}
        self._cluster: Cluster | None = None
        self._roles: dict[int, str] = {}
        self._commands: dict[str, Callable[..., None]] = {
            name.removeprefix("do_"): getattr(self, name) for name in dir(self) if name.startswith("do_")
        }

    @property
    def cluster(self) -> Cluster:
        """The replicas."""
        assert self._cluster is not None, "a scenario begins with 'nodes'"
        return self._cluster

    def run(self, command: str) -> list[str]:
        """Run one command and return what it brought about."""
        self.lines = []
        name, *arguments = command.split()
        try:
            self._commands[name](*arguments)
        except NotProposed as refusal:
            self.lines.append(f"not proposed: {refusal}")
        except InvariantBroken as broken:
            self.lines.append(f"stops: {broken}")
        self._note_roles()
        return self.lines

    def _note_roles(self) -> None:
        for number, member in self.cluster.members.items() if self._cluster else ():
            shown = "down"
            if member.node is not None:
                leader = member.node.leader
                follows = f" of {words.name(leader)}" if leader and not member.node.is_leader else ""
                shown = f"{member.node.role_name}{follows} in term {member.node.term}"
            if self._roles.get(number) != shown:
                self._roles[number] = shown
                self.lines.append(f"{number} is {shown}")

    def _seen(self, message: Message) -> None:
        self.lines.append(words.message(message))

    def _pump(self, number: int) -> None:
        self.cluster.pump(number)

    # Setting up

    def do_settings(self, *pairs: str) -> None:
        """Change settings of the replicas to come."""
        self._settings = evolve(self._settings, **words.settings(list(pairs)))

    def do_log(self, number: str, *terms: str) -> None:
        """Give a replica to come a log of commands of these terms."""
        self._logs[int(number)] = commands(*map(int, terms))

    def do_nodes(self, *names: str) -> None:
        """Start voters, then learners behind the word C{learners}."""
        at = names.index("learners") if "learners" in names else len(names)
        configuration = voters(*map(int, names[:at]), learners=[int(one) for one in names[at + 1 :]])
        self._cluster = Cluster(configuration, self._settings, logs=dict(self._logs))
        self._cluster.said = lambda name, ready: self.lines.extend(words.ready(name, ready))
        for number in self._cluster.members:
            self._roles[number] = "follower in term 0"

    def do_join(self, number: str) -> None:
        """Start a replica that knows nobody."""
        self.cluster.add(int(number), Configuration())

    # Time and messages

    def do_campaign(self, number: str) -> None:
        """Have a replica stand for election."""
        self.cluster.node(int(number)).campaign()
        self._pump(int(number))

    def do_tick(self, number: str, count: str = "1") -> None:
        """Let ticks pass for one."""
        self.cluster.tick(int(number), int(count))

    def do_pass(self, ticks: str, *numbers: str) -> None:
        """Let ticks pass for all, or some, and everything that follows, without showing messages."""
        self.cluster.pass_time(int(ticks), *map(int, numbers))

    def do_settle(self) -> None:
        """Deliver everything, and all that follows from it."""
        self.cluster.settle(self._seen)

    def do_quietly(self) -> None:
        """Deliver everything without showing it."""
        self.cluster.settle()

    def _fits(self, link: str) -> Callable[[Message], bool]:
        sender, _, to = link.partition(">")
        return lambda one: f"{one.sender.node_id}" == sender and (not to or f"{one.to.node_id}" == to)

    def do_deliver(self, link: str, count: str = "1") -> None:
        """Deliver the first messages of a link, C{1>2}, or of a sender, C{1}."""
        for _ in range(int(count)):
            waiting = [one for one in self.cluster.wire if self._fits(link)(one)]
            self.lines.extend(map(words.message, waiting[:1]))
            self.cluster.deliver(1, self._fits(link))

    def do_drop(self, link: str, count: str = "1000") -> None:
        """Lose the first messages of a link, or all."""
        waiting = [one for one in self.cluster.wire if self._fits(link)(one)][: int(count)]
        self.lines.extend("lost: " + words.message(one) for one in self.cluster.take(lambda one: one in waiting))

    def do_again(self, link: str) -> None:
        """Double the first message of a link."""
        self.cluster.wire.append(next(one for one in self.cluster.wire if self._fits(link)(one)))

    def do_isolate(self, *numbers: str) -> None:
        """Cut replicas off from all others."""
        self.cluster.isolate(*map(int, numbers))

    def do_mend(self) -> None:
        """Mend all cuts."""
        self.cluster.mend()

    # Disks and processes

    def do_hold(self, number: str) -> None:
        """Let writes wait."""
        self.cluster.members[int(number)].holds = True

    def do_write(self, number: str, count: str = "") -> None:
        """Make durable what waits: all Readies, or the first few."""
        self.cluster.write(int(number), int(count) if count else None)

    def do_unhold(self, number: str) -> None:
        """Make durable what waits, and what comes, at once."""
        self.cluster.members[int(number)].holds = False
        self.cluster.write(int(number))

    def do_stop(self, number: str) -> None:
        """Cut the power of one."""
        self.cluster.stop(int(number))

    def do_start(self, number: str) -> None:
        """Start it again."""
        self.cluster.start(int(number))

    def do_wipe(self, number: str) -> None:
        """Give one that is stopped a new disk, and start it."""
        disks = 1 + self.cluster.members[int(number)].disk.key.directory_id[0]
        self.cluster.add(int(number), Configuration(), disk=disks)

    def do_compact(self, number: str, keep: str = "0") -> None:
        """Take a snapshot of all that was applied, and keep some entries before it."""
        snapshot = self.cluster.compact(int(number), int(keep))
        boundary = self.cluster.node(int(number)).boundary_index
        self.lines.append(f"{number} has a snapshot at {snapshot.index}/{snapshot.term}, log behind {boundary}")

    def do_gone(self, number: str, gone: str) -> None:
        """Tell one that another's process is gone."""
        self.cluster.node(int(number)).peer_gone(keyed(gone))
        self._pump(int(number))

    def do_lost(self, number: str, other: str) -> None:
        """Tell one that its connection to another broke."""
        self.cluster.node(int(number)).connection_lost(keyed(other))
        self._pump(int(number))

    # Asking

    def do_propose(self, number: str, *commands: str) -> None:
        """Propose commands, all before anything is sent."""
        for command in commands:
            self.cluster.node(int(number)).propose(command.encode())
        self._pump(int(number))

    def do_change(self, number: str, *changes: str) -> None:
        """Change members: C{+} makes a voter, C{~} a learner, C{-} nobody."""
        kinds: dict[str, type[AddVoter | AddLearner]] = {"+": AddVoter, "~": AddLearner}
        asked: list[Change] = [
            Remove(keyed(one[1:])) if one[0] == "-" else kinds[one[0]](Replica(keyed(one[1:]))) for one in changes
        ]
        self.cluster.node(int(number)).change_members(asked)
        self._pump(int(number))

    def do_transfer(self, number: str, target: str) -> None:
        """Hand leadership over."""
        self.cluster.node(int(number)).transfer_leadership(keyed(target))
        self._pump(int(number))

    def do_resign(self, number: str) -> None:
        """Prepare to stop."""
        self.cluster.node(int(number)).resign()
        self._pump(int(number))

    def do_read(self, number: str, context: str) -> None:
        """Ask up to where to read."""
        self.cluster.node(int(number)).read(context.encode())
        self._pump(int(number))

    # Looking

    def do_show(self, *numbers: str) -> None:
        """Show replicas, or all."""
        for number in map(int, numbers or map(str, self.cluster.members)):
            node = self.cluster.node(number)
            self.lines.append(
                f"{number}: {node.role_name} in term {node.term}, commit {node.commit_index}, last {node.last_index},"
                f" {words.members(node.configuration)}"
            )

    def do_progress(self, number: str) -> None:
        """Show what a leader knows of the others."""
        role = self.cluster.node(int(number))._core.role
        assert isinstance(role, Leader)
        for other, peer in role.peers.items():
            paused = ", paused" if peer.is_paused else ""
            state = f"{peer.sending.value}, matched {peer.matched_index}, next {peer.next_index}"
            self.lines.append(f"{words.name(other)}: {state}{paused}")

    def do_entries(self, *numbers: str) -> None:
        """Show logs."""
        for number in numbers:
            log = self.cluster.node(int(number))._core.log
            shown = words.entries(log.between(log.first_index, log.last_index))
            self.lines.append(f"{number}: behind {log.boundary_index}/{log.boundary_term} {shown}")


def replay(text: str) -> str:
    """Run the commands of a scenario; return it with what happens now."""
    scenario, shown = Scenario(), []
    for line in text.splitlines():
        if line.startswith(">"):
            shown += [line, *scenario.run(line.removeprefix(">").strip())]
        elif line.startswith("#") or not line.strip():
            shown.append(line)
    return "\n".join(shown).rstrip() + "\n"


def main(names: Iterable[str]) -> None:
    """Write down what happens now in the scenarios of these names, or in all."""
    for path in sorted(SCENARIOS.glob("*.txt")):
        if not names or path.stem in names:
            before = path.read_text("utf-8")
            after = replay(before)
            if after != before:
                path.write_text(after, "utf-8")
                print(f"{path.name} is another now")


if __name__ == "__main__":
    main(sys.argv[1:])
