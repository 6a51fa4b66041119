"""
One run of a simulated cluster: it forms, has trouble for a while, then everything is mended, and it must find together.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from attrs import define, field, frozen

from streamline.config import INT64_MAX
from streamline.model import NO_LEADER, Endpoint
from streamline.testing.checks import Anomaly
from streamline.testing.history import OK, History
from streamline.testing.simulation.cluster.agreements import Agreements
from streamline.testing.simulation.cluster.atlas import LOSING, LOSING_DISKS, Atlas
from streamline.testing.simulation.cluster.calm import Calm
from streamline.testing.simulation.cluster.injector import ClusterInjector
from streamline.testing.simulation.cluster.insider import Insider
from streamline.testing.simulation.cluster.operator import Operator
from streamline.testing.simulation.cluster.oracle import Oracle
from streamline.testing.simulation.cluster.places import CLIENT_PORT, Habits, Place
from streamline.testing.simulation.cluster.plan import Shape, plan_of, shape_of, swarm
from streamline.testing.simulation.cluster.records import COPIES, Records
from streamline.testing.simulation.cluster.workload import Administrator, added
from streamline.testing.simulation.faults import Plan
from streamline.testing.simulation.links import Fabric, Weather
from streamline.testing.simulation.logged import LogReader
from streamline.testing.simulation.machine import Machine, Process
from streamline.testing.simulation.whims import Whims, whims_of
from streamline.testing.simulation.world import Livelock, Simulation

SNAPSHOT_ENTRIES = (5, 30, 200, 1000)
SYNC_S = (0.0005, 0.001, 0.005, 0.02)
CLIENTS = 3
INSIDE_SHARE = 3.0
"""A node is asked from within so many times more rarely than a client asks."""
CONVERGE_S = 90.0
"""How long, at most, a cluster in which nothing is wrong any more takes to find together."""
LOOK_EVERY_S = 0.25
DRIFT = 0.1
LAGS_MS = (500, 1000, 4000, 30_000)
REBALANCES_S = (4, 300)
FETCHES_BYTES = (1 << 20, 1 << 20, 4096, 1)
FETCH_WAITS_MS = (500, 500, 50)
CHECKPOINTS_MS = (60_000, 3000, 500)
SESSION_SLOTS = (1000, 1000, 2)
SYNCED_CHANCE = 0.25
"""Of what is acknowledged being synced before; then the power may be cut anywhere, and everywhere at once."""
MIN_ISR = 2
RECORDS_PACE = 2.0
"""A producer of records writes so many times more rarely than a client asks for other things."""
LATE_S = 2.0
"""How late what nobody waits for an answer to may come."""
DRAIN_S = 120.0
"""How long it takes, at most, until what was sent is answered, and until everything is read."""


@frozen(kw_only=True)
class ClusterSettings:
    """
    What a run is like, beside its seed.

    @ivar nodes: how many there are in the end; None leaves it to the seed.
    @ivar kinds: kinds of fault, or None where the seed draws them.
    @ivar without: numbers of faults to leave out.
    @ivar pace_s: mean time between two things that one client asks for.
    @ivar records_pace_s: mean time between two batches of one producer; None where that follows from C{pace_s}.
    @ivar data: whether there are records too, where there are nodes enough for copies of them.
    @ivar shape: how the cluster comes to be, where the seed does not say; then C{nodes} says nothing.
    @ivar crash: a node, and at which of its durable steps it loses its power, the first being 1.
    @ivar snapshot_entries: how many entries make a snapshot worth its while; None leaves it to the seed.
    @ivar whims: the sites that have one, or None where the seed draws them.
    """

    nodes: int | None = None
    until: float = 60.0
    kinds: tuple[str, ...] | None = None
    without: tuple[int, ...] = ()
    pace_s: float = 0.5
    shape: Shape | None = None
    snapshot_entries: int | None = None
    data: bool = True
    records_pace_s: float | None = None
    crash: tuple[int, int] | None = None
    whims: tuple[str, ...] | None = None


@define
class ClusterReport:
    """
    What a run came to.

    @ivar anomalies: what must not be; empty for a run that passed.
    @ivar calm_spans: in how many the cluster was one, and had to stay so.
    @ivar done: what clients were told is done, and what nodes said when they were asked from within.
    @ivar whims: how often each had its way.
    @ivar invalid: why the run says nothing, or an empty text.
    """

    seed: int
    settings: ClusterSettings
    shape: Shape
    anomalies: list[Anomaly] = field(factory=list)
    invalid: str = ""
    digest: str = ""
    simulated_s: float = 0.0
    converged_s: float = -1.0
    events: int = 0
    starts: int = 0
    elections: int = 0
    committed: int = 0
    topics: int = 0
    calm_spans: int = 0
    done: dict[str, int] = field(factory=dict)
    asked: dict[str, int] = field(factory=dict)
    answered: dict[str, int] = field(factory=dict)
    injected: dict[str, int] = field(factory=dict)
    whims: dict[str, int] = field(factory=dict)
    pushed: dict[str, int] = field(factory=dict)
    refusals: list[str] = field(factory=list)
    sends: int = 0
    acknowledged: int = 0
    reads: int = 0
    commits: int = 0
    recoveries: int = 0
    nodes: list[str] = field(factory=list)


class ClusterRun:
    """
    One seed's cluster and its history.

    @ivar simulation: its world.
    @ivar plan: what goes wrong in it, and when.
    """

    def __init__(self, seed: int, settings: ClusterSettings) -> None:
        self.simulation = Simulation(seed)
        self.simulation.whims = Whims(seed, whims_of(seed) if settings.whims is None else settings.whims)
        self.settings = settings
        kinds = swarm(seed) if settings.kinds is None else settings.kinds
        self.plan: Plan = plan_of(seed, settings.until, kinds).without(settings.without)
        self.shape = settings.shape or shape_of(seed, settings.nodes)
        self.report = ClusterReport(seed, settings, self.shape)
        self.oracle = Oracle(self.report.anomalies)
        self.log = LogReader(self.report.anomalies)
        self.history = History()
        rng, self._rng = self.simulation.stream("world"), self.simulation.stream("habits")
        self._is_synced = self._has_data and self._rng.random() < SYNCED_CHANCE
        fabric = Fabric.of(self.simulation, _weather(rng))
        self.places = self._places(fabric, rng)
        self.agreements = Agreements(self.places, self.oracle)
        self._clients = Machine(fabric, "clients", "10.0.1.1")
        self.operator = Operator(self.simulation, self.places, self.oracle)
        losing = LOSING_DISKS if self._is_synced else LOSING
        atlas = Atlas(self.simulation, self.places, self.oracle, losing) if self._has_data else None
        self.injector = ClusterInjector(self.places, self._clients, self.operator, self.plan, seed, atlas)
        self.insider = Insider(self.oracle, self.simulation.stream("insider"), INSIDE_SHARE * settings.pace_s)
        self.administrators = self._administrators()
        self.records = self._made_records() if self._has_data else None
        if self.records is not None:
            self.injector.rove = self.records.workload.rove
        self.calm = Calm(
            self.simulation, self.plan, settings.until, self.oracle, self.agreements, self.what_is_missing
        )
        self._missing = "nobody has looked"

    @property
    def _has_data(self) -> bool:
        return self.settings.data and self.shape.size >= COPIES

    def _made_records(self) -> Records:
        rng, settings = self.simulation.stream("records"), self.settings
        pace_s = settings.records_pace_s or RECORDS_PACE * settings.pace_s
        return Records(self.simulation, self.places, self.oracle, self._host, rng, pace_s)

    def _places(self, fabric: Fabric, rng: Random) -> list[Place]:
        snapshot_entries = rng.choice(SNAPSHOT_ENTRIES)
        snapshot_entries = self.settings.snapshot_entries or snapshot_entries
        habits = Habits(
            consensus=f"raft:snapshot_entries={snapshot_entries}",
            max_voters=self.shape.max_voters,
            min_isr=MIN_ISR if self._has_data else 1,
            lag_ms=self._rng.choice(LAGS_MS),
            rebalance_s=self._rng.choice(REBALANCES_S),
            fetch_bytes=self._rng.choice(FETCHES_BYTES),
            fetch_wait_ms=self._rng.choice(FETCH_WAITS_MS),
            checkpoint_ms=self._rng.choice(CHECKPOINTS_MS),
            session_slots=self._rng.choice(SESSION_SLOTS),
            flush_messages=1 if self._is_synced else INT64_MAX,
        )
        hosts = [f"10.0.0.{number}" for number in range(1, self.shape.size + 1)]
        founders = [Endpoint(host, CLIENT_PORT) for host in hosts[: self.shape.founders]]
        places = []
        for number, host in enumerate(hosts, 1):
            machine = Machine(fabric, f"n{number}", host, rate=rng.choice((1.0, rng.uniform(1 - DRIFT, 1 + DRIFT))))
            machine.platter.faults.sync_mean_s = rng.choice(SYNC_S)
            is_alone = number == 1 and self.shape.founders == 1
            seeds = [] if is_alone else rng.sample(founders, len(founders))
            place = Place(machine, number, seeds, habits, self.oracle, self._refused)
            place.started = self._started
            places.append(place)
        return places

    def _administrators(self) -> list[Administrator]:
        self._host = self._clients.start().host
        return [self._administrator(f"admin-{number}") for number in range(CLIENTS)]

    def _administrator(self, name: str) -> Administrator:
        rng = self.simulation.stream(name)
        return Administrator(self._host, name, self.places, self.oracle, self.history, rng)

    def _started(self, place: Place, process: Process) -> None:
        self.insider.joins(place, process)
        if self.records is not None:
            self.records.copies.watch(place)

    def _refused(self, place: Place, why: str) -> None:
        self.report.refusals.append(f"{self.simulation.now:.3f}: node {place.number}: {why}")

    # The phases

    def run(self) -> ClusterReport:
        """Run it to its end, or to the first thing that must not be."""
        with self.log.watching():
            try:
                self.begin()
                self.pass_time(self.settings.until)
                if not self.oracle.is_broken:
                    self._find_together()
                if self.records is not None and not self.oracle.is_broken:
                    self._read_all(self.records)
            except Livelock as livelock:
                self.oracle.broke("Livelock", str(livelock))
        self._describe()
        return self.report

    def pass_time(self, until: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Let happen what happens up to a time, or to the first thing that must not be."""
        anomalies = self.report.anomalies
        self.simulation.run(until, lambda: bool(anomalies) or enough())

    def begin(self) -> None:
        """Put everything where it will happen: starts, requests, faults."""
        first = self.shape.begins_at
        for place, at in zip(self.places, [0.0] * self.shape.founders + list(self.shape.joining), strict=True):
            self.simulation.after(first + at, place.supervisor.start)
        for administrator in self.administrators:
            administrator.start(self.settings.pace_s)
        if self.records is not None:
            self.records.begin()
        if self.settings.crash is not None:
            node, step = self.settings.crash
            self.places[node - 1].machine.platter.faults.dies_at_step = step
        self.operator.begin()
        self.injector.begin()
        self.calm.begin()

    def _find_together(self) -> None:
        self.injector.end()
        self.insider.end()
        for administrator in self.administrators:
            administrator.stop()
        if self.records is not None:
            self.records.workload.wind_down()
        began = self.simulation.now
        last = self._administrator("last")
        last.insist()
        self._look_again()
        self.pass_time(began + CONVERGE_S, lambda: not self._missing and bool(last.done.get("created")))
        self.report.converged_s = self.simulation.now - began
        if self.oracle.is_broken:
            return
        if self._missing or not last.done.get("created"):
            what = self._missing or "no topic can be made"
            self.oracle.broke("Convergence", f"not together {CONVERGE_S:g} s after all was mended: {what}")

    def _read_all(self, records: Records) -> None:
        """Have what was sent answered, everything read, and the copies compared."""
        workload = records.workload
        self._reach(lambda: workload.is_ready and not workload.unanswered, "not everything that was sent is answered")
        if not self.oracle.is_broken:
            self.pass_time(self.simulation.now + LATE_S)
            self._reach(lambda: not records.differing(), "copies differ", records.differing)
        if not self.oracle.is_broken:
            topics: list[list[str]] = []
            workload.read_everything().addCallback(topics.append)
            self._reach(lambda: bool(topics), "not everything can be read")
        if not self.oracle.is_broken:
            self.report.anomalies += records.judge()

    def _reach(self, condition: Callable[[], bool], otherwise: str, why: Callable[[], str] = str) -> None:
        self.pass_time(self.simulation.now + DRAIN_S, condition)
        if not self.oracle.is_broken and not condition():
            self.oracle.broke("Drain", f"{DRAIN_S:g} s after all was mended, {otherwise}: {why()}")

    def _look_again(self) -> None:
        self._missing = self.what_is_missing()
        self.simulation.after(LOOK_EVERY_S, self._look_again)

    def what_is_missing(self) -> str:
        """Say what keeps the cluster from being one: a leader, members, the same image everywhere."""
        leader = self.operator.leader()
        if leader is None or leader.raft is None:
            return "nobody leads"
        configuration = leader.raft.configuration
        keys = [place.key for place in self.places]
        if configuration.is_joint or sorted(configuration.member_keys) != sorted(key for key in keys if key):
            return f"the members are {configuration}, and the nodes {', '.join(map(str, keys))}"
        if len(configuration.voters) < min(self.shape.size, self.shape.max_voters):
            return f"the members are {configuration}"
        lacking = (said for place in self.places if (said := self._what_it_lacks(place, leader.raft.key)))
        missing = next(lacking, "") or self._leaderless()
        return missing or ("" if self.records is None else self.records.missing_copy())

    def _leaderless(self) -> str:
        """Name a partition that nobody leads."""
        for topic in self.oracle.tip.topics.values():
            for partition in topic.partitions:
                if partition.leader == NO_LEADER:
                    return f"nobody leads {topic.name}-{partition.index}: {partition}"
        return ""

    def _what_it_lacks(self, place: Place, leader: object) -> str:
        raft, watch = place.raft, place.watch
        if raft is None or watch is None or place.node is None:
            return f"node {place.number} is down"
        if raft.leader != leader:
            return f"node {place.number} follows {raft.leader}, not {leader}"
        if watch.metadata.image != self.oracle.tip:
            return f"node {place.number} is at {watch.metadata.image.index} of {self.oracle.tip.index}"
        if not place.node.factory.is_serving:
            return f"node {place.number} does not serve"
        if not self.oracle.tip.is_active(place.number):
            return f"node {place.number} is {self.oracle.tip.brokers.get(place.number)}"
        return ""

    # The report

    def _describe(self) -> None:
        report, monitor = self.report, self.oracle.monitor
        report.digest = self.simulation.digest()
        report.simulated_s, report.events = self.simulation.now, self.simulation.events
        report.starts = sum(place.supervisor.starts for place in self.places)
        report.elections, report.committed = monitor.elections, monitor.committed_index
        report.topics, report.calm_spans = len(self.oracle.born), self.calm.spans
        report.done = added(*(one.done for one in self.administrators), self.insider.outcomes)
        report.asked, report.answered = self.history.asked, self.history.answered
        report.pushed = added(*(place.courier.counts for place in self.places))
        report.injected, report.recoveries = self.injector.totals(), self.oracle.recoveries
        report.whims = dict(sorted(self.simulation.whims.fired.items()))
        if self.records is not None:
            self._count(self.records.workload.history)
        report.nodes = [_state(place) for place in self.places]
        if self.plan.faults and not report.injected:
            report.invalid = "none of the planned faults took effect"

    def _count(self, history: History) -> None:
        report = self.report
        report.sends = len(history.sends)
        report.acknowledged = sum(send.status == OK for send in history.sends)
        report.reads = sum(len(poll.records) for poll in history.polls)
        report.commits = sum(change.what == "commit" for change in history.changes)
        report.asked, report.answered = added(report.asked, history.asked), added(report.answered, history.answered)


def _weather(rng: Random) -> Weather:
    return Weather(
        delay_min_s=rng.choice((0.00005, 0.0005, rng.uniform(0.0, 0.03))),
        delay_mean_s=rng.choice((0.0002, 0.001, 0.005, 0.03)),
        split_chance=rng.choice((0.0, 0.1, 0.5)),
        refuse_chance=rng.choice((0.0, 0.02)),
        hang_chance=rng.choice((0.0, 0.01)),
    )


def _state(place: Place) -> str:
    raft = place.raft
    if raft is None:
        return f"node {place.number}: down"
    return (
        f"node {place.number} {raft.key}: {raft.role_name} of term {raft.term}, leader {raft.leader}, boundary"
        f" {raft.boundary_index}, commit {raft.commit_index}, last {raft.last_index}, {raft.configuration}"
    )
