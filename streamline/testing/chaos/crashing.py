"""Clients that crash: each is a process, which is killed now and then, and another one goes on in its place."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from random import Random
from threading import Thread
from typing import Any

from streamline.model import TopicPartition
from streamline.testing.chaos.workers import Worker
from streamline.testing.checks import lost_commits
from streamline.testing.history import INFO, OK, Change, History, Poll, Send

LOOK_AGAIN_S = 0.1
END_S = 100.0
"""How long a client may take to end that was asked to: longer than a producer is patient."""
CAUGHT_UP_S = 60.0
PEACEFUL = (0, -signal.SIGTERM)
"""How it ends then; the latter if it had not begun yet."""
MEMBERS = 2
ACKS_ALL = -1


class Child:
    """
    One process, and what it says.

    @param heard: called with each line, in a thread of its own.
    """

    def __init__(self, role: str, told: dict[str, Any], heard: Callable[[dict[str, Any]], None]) -> None:
        self.name = told["name"]
        self._heard = heard
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streamline.testing.chaos.child", role, json.dumps(told)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._thread = Thread(target=self._listen, name=self.name, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):  # else it was killed before it had said it
                self._heard(json.loads(line))
        self._process.stdout.close()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def end(self) -> str | None:
        """Have it end in peace; return what is wrong with how it did."""
        self._process.terminate()
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"{self.name}: stuck for {END_S:g} s after its end"
        self._thread.join()
        return f"{self.name} ended with {code}" if code not in PEACEFUL else None


class Crashing(Worker):
    """
    What crashing clients have in common.

    @param crash_s: how often one of them is killed, on average.
    """

    def __init__(
        self,
        name: str,
        bootstrap: str,
        history: History,
        keys: Sequence[TopicPartition],
        clock: Callable[[], float],
        rng: Random,
        crash_s: float,
        began: float,
    ) -> None:
        super().__init__(name, clock)
        self.keys = keys
        self.history = history
        self.crashes = 0
        self._rng = rng
        self._crash_s = crash_s
        self._told = {
            "bootstrap": bootstrap, "topic": keys[0].topic, "partitions": len(keys), "began": began,
        }  # fmt: skip
        self._children: list[Child] = []
        self._made = 0

    def work(self) -> None:
        """Have clients, and kill one now and then, or have it leave in peace; in the end all leave."""
        for _ in range(self.count):
            self.begin()
        while not self.is_ending:
            self.pause(self._rng.uniform(0.5, 1.5) * self._crash_s)
            if not self.is_ending:
                self.crash(self._rng.choice(self._children))
                self.begin()
        self.settle()
        for child in self._children:
            self._end(child)

    @property
    def count(self) -> int:
        """How many clients there are at a time."""
        return 1

    def begin(self) -> None:
        """Begin another client."""
        raise NotImplementedError

    def settle(self) -> None:
        """Wait until they have done what they are there for."""

    def crash(self, child: Child) -> None:
        """Lose one."""
        self._children.remove(child)
        child.kill()
        self.crashes += 1

    def add(self, role: str, heard: Callable[[dict[str, Any]], None], **told: Any) -> None:
        """Begin a process."""
        self._children.append(Child(role, {**self._told, **told}, heard))
        self._made += 1

    def _end(self, child: Child) -> None:
        if wrong := child.end():
            self.complain(wrong)


class CrashingWriter(Crashing):
    """An idempotent producer; what it had not heard of when it was killed may have become of anything."""

    per_second = 50.0

    def begin(self) -> None:
        """Begin one that never was before."""
        name = f"{self.name}-{self._made}"
        sends: dict[str, Send] = {}

        def heard(said: dict[str, Any]) -> None:
            if said["what"] == "sent":
                key = TopicPartition(self.keys[0].topic, said["partition"])
                value = said["value"]
                sends[value] = Send(name, key, value, said["number"], said["at"], ACKS_ALL, True)
                self.history.sends.append(sends[value])
            elif said["what"] == "done":
                send = sends.pop(said["value"])
                send.status = INFO if said["error"] else OK
                send.offset, send.done_at, send.error = said["offset"], said["at"], said["error"]
            elif said["what"] == "complaint":
                self.complain(f"{name}: {said['text']}")

        self.add("write", heard, name=name, per_second=self.per_second)


class CrashingReader(Crashing):
    """A consumer of all partitions, which goes on where it was."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._places = dict.fromkeys(range(len(self.keys)), 0)

    def begin(self) -> None:
        """Begin one at the end of what the one before has told of."""
        self.add("read", self._heard, name=self.name, positions=dict(self._places))

    def _heard(self, said: dict[str, Any]) -> None:
        if said["what"] == "polled":
            self.history.polls.append(poll_of(self.name, self.keys[0].topic, said))
            self._places[said["partition"]] = said["records"][-1][0] + 1


class CrashingGroup(Crashing):
    """Members of a group, some of which leave in peace; together they read everything, once at least."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._ends: dict[int, int] = {}

    @property
    def count(self) -> int:
        """Several."""
        return MEMBERS

    def ask_to_end(self) -> None:
        """Go on until there is nothing more to come, which L{finish} says."""

    def finish(self) -> None:
        """End, once all is read."""
        self._ending.set()
        super().finish()
        self.complaints += unread(self.history, self.name)
        self.complaints += [str(anomaly) for anomaly in lost_commits(self.history, lambda before, after: False)]

    def begin(self) -> None:
        """Begin another member."""
        name = f"{self.name}/{self._made}"

        def heard(said: dict[str, Any]) -> None:
            if said["what"] == "polled":
                self.history.polls.append(poll_of(name, self.keys[0].topic, said))
                partition = said["partition"]
                self._ends[partition] = max(self._ends.get(partition, 0), said["records"][-1][0] + 1)
            elif said["what"] in ("fetched", "committed"):
                self.history.changes.append(self._change(name, said))

        self.add("read", heard, name=name, group=self.name)

    def _change(self, member: str, said: dict[str, Any]) -> Change:
        what = "commit" if said["what"] == "committed" else "fetched"
        status = INFO if said.get("error") else OK
        place = f"{self.name}/{self.keys[0].topic}-{said['partition']}"
        return Change(what, place, said["offset"], said["asked_at"], status, said["at"], who=member)

    def crash(self, child: Child) -> None:
        """Lose one, or have it leave."""
        if self._rng.random() < 1 / 2:
            super().crash(child)
        else:
            self._children.remove(child)
            self._end(child)

    def settle(self) -> None:
        """Wait until all that was acknowledged has been read."""
        ends: dict[int, int] = {}
        for send in self.history.sends:
            if send.status == OK:
                ends[send.key.partition] = max(ends.get(send.key.partition, 0), send.offset + 1)
        due = self.clock() + CAUGHT_UP_S
        while any(self._ends.get(partition, 0) < end for partition, end in ends.items()):
            if self.clock() > due:
                self.complain(f"stuck at {self._ends}; {CAUGHT_UP_S:g} s after everything was mended, not at {ends}")
                return
            time.sleep(LOOK_AGAIN_S)


def poll_of(consumer: str, topic: str, said: dict[str, Any]) -> Poll:
    """Return what a child has read."""
    records = [(offset, value) for offset, value in said["records"]]
    key = TopicPartition(topic, said["partition"])
    return Poll(consumer, key, said["asked_at"], said["at"], said["position"], records, said["is_reset"])


def unread(history: History, group: str) -> list[str]:
    """Find what was acknowledged and no member of a group has read."""
    members = f"{group}/"
    read = {
        (poll.key, value)
        for poll in history.polls
        if poll.consumer.startswith(members)
        for _, value in poll.records
    }
    return [
        f"group-skip: {send.key}: nobody of {group} read {send.value} at {send.offset}"
        for send in history.sends
        if send.status == OK and (send.key, send.value) not in read
    ]


CRASHING: Mapping[str, type[Crashing]] = {
    "crashing-writer": CrashingWriter,
    "crashing-reader": CrashingReader,
    "crashing-group": CrashingGroup,
}
"""By what they are called: producers first, who end first."""
