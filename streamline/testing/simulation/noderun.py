"""
A whole node in the simulated world: built as in production, used by clients, and given a hard time.

A run goes through four phases: the node starts and the topics are made; faults
happen, with calm spans between; everything is mended and what was sent is
answered; all of it is read once more.  Then the history is judged.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen
from twisted.python.failure import Failure

from streamline.assembly import build
from streamline.config import BrokerConfig, NodeConfig
from streamline.model import Endpoint
from streamline.testing.checks import (
    Anomaly,
    broken_changes,
    check_all,
    double_owners,
    lost_commits,
    moved_starts,
    wrong_lookups,
)
from streamline.testing.durability import PowerCuts, judge
from streamline.testing.history import OK
from streamline.testing.simulation import guards
from streamline.testing.simulation.faults import Plan, draw, swarm
from streamline.testing.simulation.injector import Injector, Stop, Supervisor
from streamline.testing.simulation.links import Fabric, Weather
from streamline.testing.simulation.logged import LogReader
from streamline.testing.simulation.machine import Machine, Process
from streamline.testing.simulation.whims import Whims, whims_of
from streamline.testing.simulation.workload import KEPT, SYNCED, NodeWorkload
from streamline.testing.simulation.world import Simulation

HOST = "10.0.0.1"
PORT = 9092
CHECKPOINT_MS = 10_000
SNAPSHOT_ENTRIES = (3, 10, 1000)
"""After how many commands the metadata are put into a snapshot."""
WINDOW_S = 60.0
"""How old a record may be at a power cut and still be lost: a checkpoint's interval, and the longest disk faults."""

READY_S = 120.0
DRAIN_S = 300.0
SETTLE_S = 5.0
"""After a calm span began, how long until things must work again."""

CALM_SHARE_MIN = 0.5


@frozen(kw_only=True)
class Settings:
    """
    What a run is made of, beside its seed.

    @ivar until: true seconds until everything is mended.
    @ivar kinds: the faults that may happen; None leaves it to the seed.
    @ivar without: faults of the plan, by number, that are left out.
    @ivar pace_s: mean time between two batches of one producer.
    @ivar consensus: the plugin by which the node agrees with itself.
    @ivar whims: the sites that have one, or None where the seed draws them.
    """

    until: float = 60.0
    kinds: tuple[str, ...] | None = None
    without: tuple[int, ...] = ()
    pace_s: float = 0.4
    consensus: str = "single"
    whims: tuple[str, ...] | None = None


@define
class Report:
    """
    What a run came to.

    @ivar anomalies: what must not be; empty for a run that passed.
    @ivar invalid: why the run says nothing, or an empty text.
    @ivar whims: how often each had its way.
    @ivar refusals: why starts were refused.
    @ivar asked: how many requests of each API were sent, and C{answered} how many of them.
    """

    seed: int
    settings: Settings
    digest: str = ""
    simulated_s: float = 0.0
    events: int = 0
    starts: int = 0
    sends: int = 0
    acknowledged: int = 0
    reads: int = 0
    changes: int = 0
    commits: int = 0
    lost_in_power_cuts: int = 0
    asked: dict[str, int] = field(factory=dict)
    answered: dict[str, int] = field(factory=dict)
    planned: int = 0
    injected: dict[str, int] = field(factory=dict)
    whims: dict[str, int] = field(factory=dict)
    calm_share: float = 1.0
    anomalies: list[Anomaly] = field(factory=list)
    refusals: list[str] = field(factory=list)
    invalid: str = ""


class NodeRun:
    """
    One run.

    @ivar simulation: its world, for whoever wants to watch.
    @ivar plan: what goes wrong in it.
    @ivar log: reads what is logged.
    """

    def __init__(self, seed: int, settings: Settings) -> None:
        self.simulation = Simulation(seed)
        self.simulation.whims = Whims(seed, whims_of(seed) if settings.whims is None else settings.whims)
        self._settings = settings
        rng = self.simulation.stream("world")
        weather = Weather(
            delay_min_s=rng.uniform(0.00005, 0.002),
            delay_mean_s=rng.choice((0.0002, 0.001, 0.005)),
            split_chance=rng.choice((0.0, 0.1, 0.5)),
            refuse_chance=rng.choice((0.0, 0.02)),
            hang_chance=rng.choice((0.0, 0.01)),
        )
        fabric = Fabric.of(self.simulation, weather)
        machine = Machine(fabric, "n1", HOST, rate=rng.choice((1.0, 1.0, 0.9, 1.1)))
        machine.platter.faults.sync_mean_s = rng.choice((0.0005, 0.001, 0.005, 0.03))
        self._machine = machine
        self._consensus = f"{settings.consensus}:snapshot_entries={rng.choice(SNAPSHOT_ENTRIES)}"
        self._supervisor = Supervisor(machine, self._run_node)
        self.plan = self._drawn_plan(seed)
        self._injector = Injector(self._supervisor, self.plan)
        client = Machine(fabric, "c1", "10.0.1.1").start()
        workload_rng = self.simulation.stream("workload")
        self.workload = NodeWorkload(client.host, Endpoint(HOST, PORT), workload_rng, pace_s=settings.pace_s)
        self.report = Report(seed, settings, planned=len(self.plan.faults))
        self.log = LogReader(self.report.anomalies)
        self._cuts: list[float] = []
        self._topics: list[str] | None = None

    def _drawn_plan(self, seed: int) -> Plan:
        kinds = swarm(seed) if self._settings.kinds is None else self._settings.kinds
        return draw(seed, self._settings.until, kinds).without(self._settings.without)

    # The node

    def _run_node(self, process: Process) -> Stop:
        config = NodeConfig(
            listen=f"tcp:{PORT}:interface={HOST}",
            data_dir="/data",
            consensus=self._consensus,
            broker=BrokerConfig(
                log_flush_offset_checkpoint_interval_ms=CHECKPOINT_MS,
                log_retention_check_interval_ms=3000,
                offsets_topic_num_partitions=2,
            ),
        )
        with guards.lifted():
            node = build(config, process.host)
        node.startService().addErrback(self._refused, process)
        return node.stopService

    def _refused(self, failure: Failure, process: Process) -> None:
        if not process.dead:
            self.report.refusals.append(f"{self.simulation.now:.3f}: {failure.getErrorMessage()}")
            process.machine.crash(power=False)

    # The phases

    def run(self) -> Report:
        """Go through all phases and return the verdict."""
        with self.log.watching():
            self._supervisor.start()
            self.workload.start()
            if self._reaches(READY_S, lambda: self.workload.is_ready, "the topics were never made"):
                self._misbehave()
                self._wind_down()
        self._judge()
        return self.report

    def _reaches(self, within_s: float, condition: Any, otherwise: str) -> bool:
        self.simulation.run(self.simulation.now + within_s, condition)
        if not condition():
            self.report.anomalies.append(Anomaly("stuck", "run", f"{otherwise} (at {self.simulation.now:.3f})"))
            return False
        return True

    def _misbehave(self) -> None:
        self._machine.on_power_cut = lambda: self._cuts.append(self.simulation.now)
        self._injector.begin()
        self.simulation.run(self._settings.until)

    def _wind_down(self) -> None:
        self._injector.end()
        self.workload.wind_down()
        workload = self.workload
        if not self._reaches(DRAIN_S, lambda: workload.unanswered == 0, f"{workload.unanswered} batches unanswered"):
            return
        workload.read_everything().addCallback(self._have_topics)
        self._reaches(DRAIN_S, lambda: self._topics is not None, "not everything could be read")

    def _have_topics(self, topics: list[str]) -> None:
        self._topics = topics

    # The verdict

    def _judge(self) -> None:
        report, history = self.report, self.workload.history
        report.digest = self.simulation.digest()
        report.simulated_s = self.simulation.now
        report.events = self.simulation.events
        report.starts = self._supervisor.starts
        report.sends = len(history.sends)
        report.acknowledged = sum(send.status == OK for send in history.sends)
        report.reads = sum(len(poll.records) for poll in history.polls)
        report.changes = sum(change.what in ("create", "delete") for change in history.changes)
        report.commits = sum(change.what == "commit" for change in history.changes)
        report.asked, report.answered = history.asked, history.answered
        report.injected = self._injector.counts()
        report.whims = self.simulation.whims.fired
        report.calm_share = self._calm_share()
        if self._topics is not None:
            cuts = PowerCuts(self._cuts, SYNCED, WINDOW_S)
            loss = judge(history, cuts)
            report.lost_in_power_cuts = len(loss.pardon.lost)
            report.anomalies += loss.anomalies + check_all(history, loss.pardon)
            report.anomalies += broken_changes(history, self._topics) + moved_starts(history, KEPT)
            report.anomalies += wrong_lookups(history, KEPT)
            report.anomalies += lost_commits(history, cuts.may_go_back) + double_owners(history, cuts.may_go_back)
        report.invalid = self.why_invalid()

    def _calm_share(self) -> float:
        """Return the share of what was sent in calm spans that was acknowledged."""
        spans = [(start + SETTLE_S, end - SETTLE_S) for start, end in self.plan.calm]
        calm = [
            send.status == OK
            for send in self.workload.history.sends
            if send.acks and any(start <= send.sent_at < end for start, end in spans)
        ]
        return sum(calm) / len(calm) if calm else 1.0

    def why_invalid(self) -> str:
        """Return why the run says nothing, or an empty text."""
        report = self.report
        if report.planned and not report.injected:
            return "none of the planned faults took effect"
        if report.calm_share < CALM_SHARE_MIN:
            return f"only {report.calm_share:.0%} of what was sent in calm spans was acknowledged"
        return ""
