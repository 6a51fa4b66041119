"""
One run of level 1: trouble for a while, then everything is mended, and the cluster has to find together.
"""

from __future__ import annotations

from attrs import Factory, define, frozen

from streamline.raft import InvariantBroken
from streamline.testing.simulation.cores.injector import CoreInjector
from streamline.testing.simulation.cores.monitor import Violation, summary
from streamline.testing.simulation.cores.operator import Operator
from streamline.testing.simulation.cores.plan import plan_of, swarm
from streamline.testing.simulation.cores.workload import Workload
from streamline.testing.simulation.cores.world import CoreWorld
from streamline.testing.simulation.faults import Plan

CONVERGE_S = 60.0
"""How long, at most, a cluster in which nothing is wrong any more takes to find together."""
CALM_GRACE_S = 6.0
"""How long after the last fault a cluster may still be busy with it."""
ELECTIONS_IN_CALM_MAX = 0
RUMOUR_EVERY_S = 1.0
SPARE_TERMS = 5


@frozen
class CoreSettings:
    """
    What a run is like.

    @ivar kinds: kinds of fault, or None where the seed draws them.
    @ivar without: numbers of faults to leave out.
    @ivar pace: operations per second.
    """

    until: float = 60.0
    kinds: tuple[str, ...] | None = None
    without: tuple[int, ...] = ()
    pace: float = 10.0


@define
class CoreReport:
    """
    What a run came to.

    @ivar broken: the name of the invariant that did not hold, or nothing.
    """

    seed: int
    settings: CoreSettings
    simulated_s: float = 0.0
    events: int = 0
    digest: str = ""
    broken: str = ""
    why: str = ""
    replicas: dict[str, str] = Factory(dict)
    injected: dict[str, int] = Factory(dict)
    committed: int = 0
    proposed: int = 0
    reads: int = 0
    elections: int = 0
    changes: int = 0
    voters: int = 0


class CoreRun:
    """
    A seed's cluster and its history.

    @ivar plan: what goes wrong, and when.
    """

    def __init__(self, seed: int, settings: CoreSettings) -> None:
        self.seed = seed
        self.settings = settings
        kinds = swarm(seed) if settings.kinds is None else settings.kinds
        self.plan: Plan = plan_of(seed, settings.until, kinds).without(settings.without)
        shape = CoreWorld.shape(seed)
        self.world = CoreWorld(seed, *shape)
        self._rng = self.world.stream("run")
        numbers = list(self.world.slots)
        self.operator = Operator(self.world, numbers[: shape[0]], numbers[shape[0] :])
        self.workload = Workload(self.world, settings.pace)
        self.injector = CoreInjector(self.world, self.operator, self.workload, self.plan)

    def run(self) -> CoreReport:
        """Run it to its end, or to the first thing that must not be."""
        report = CoreReport(self.seed, self.settings)
        try:
            self._run()
        except Violation as violation:
            report.broken, report.why = violation.rule, str(violation)
        except (InvariantBroken, AssertionError, ValueError, LookupError, TypeError, AttributeError) as error:
            report.broken, report.why = type(error).__name__, f"{type(error).__name__}: {error}"
        self._describe(report)
        return report

    def _run(self) -> None:
        world = self.world
        for slot in list(world.slots.values()):
            world.start(slot)
        self.workload.begin()
        self.operator.begin()
        for start, end in self.plan.calm:
            self._expect_calm(start, end)
        world.run(self.settings.until)
        self.injector.end()
        self._expect_convergence()
        self._expect_few_terms()

    # Calm spans

    def _expect_calm(self, start: float, end: float) -> None:
        """Where nothing new goes wrong, and nothing old is left of it, there are no elections (RF8, RF18)."""
        last = max((one.at + one.length_s for one in self.plan.faults if one.at < end), default=0.0)
        begin = max(start, last) + CALM_GRACE_S
        if begin < end:
            self.world.at(begin, self._calm_begins, end)

    def _calm_begins(self, end: float) -> None:
        leader = self.operator.leader()
        if leader is None or leader.process is None or self.operator.unfinished(leader.process.node.configuration):
            return  # a change of members may change the leader
        terms = max(slot.process.node.term for slot in self.world.slots.values() if slot.process is not None)
        self._spread_rumours(end)
        self.world.at(end - 1e-3, self._calm_ends, terms)

    def _spread_rumours(self, end: float) -> None:
        """Tell somebody that its leader is gone: the others hear it, so that nothing comes of it."""
        hearer, leader = self._rng.choice(list(self.world.slots.values())), self.operator.leader()
        if leader is not None:
            self.world.rumour(hearer, leader)
        if self.world.now + RUMOUR_EVERY_S < end:
            self.world.at(self.world.now + RUMOUR_EVERY_S, self._spread_rumours, end)

    def _calm_ends(self, term_before: int) -> None:
        term = max(slot.process.node.term for slot in self.world.slots.values() if slot.process is not None)
        if term > term_before + ELECTIONS_IN_CALM_MAX:
            raise Violation("StableInCalm", f"term {term_before} became {term} although nothing went wrong")

    # The end

    def _expect_convergence(self) -> None:
        """Everybody has to agree: on a leader, on who takes part, and on all that was committed, old and new."""
        self._probe = 0
        self.world.at(self.world.now + 1.0, self._propose_probe)
        if not self.world.run(self.world.now + CONVERGE_S, self._has_converged):
            raise Violation("Convergence", f"not together {CONVERGE_S:g} s after all was mended: {self._missing()}")

    def _expect_few_terms(self) -> None:
        """Terms are not used up in vain: pre-vote sees to it that whoever raises one is elected, as a rule (RF8)."""
        monitor = self.world.monitor
        term = max(disk.hard_state.term for disk in monitor.disks.values())
        if term > 2 * monitor.elections + SPARE_TERMS:
            raise Violation("FewTerms", f"term {term} after {monitor.elections} leaders")

    def _propose_probe(self) -> None:
        leader = self.operator.leader()
        committed = self.world.monitor.committed
        is_lost = self._probe and (len(committed) >= self._probe)
        if leader is not None and not is_lost:
            self._probe = self.workload.propose(leader) or self._probe
        self.world.at(self.world.now + 1.0, self._propose_probe)

    def _has_converged(self) -> bool:
        return self.world.events % 50 == 0 and self._probe > 0 and not self._missing()

    def _missing(self) -> str:
        leader = self.operator.leader()
        if leader is None or leader.process is None:
            return "nobody leads"
        node = leader.process.node
        configuration = node.configuration
        if configuration.is_joint or self.operator.unfinished(configuration):
            return f"the members are {configuration}"
        if leader.key not in configuration.voter_keys:
            return f"{leader.key} leads, and is no voter"
        if self._probe == 0 or self.world.monitor.committed_index < self._probe:
            return "nothing new is committed"
        for key in configuration.member_keys:
            slot = self.world.slots[key.node_id]
            if slot.process is None or slot.process.node.leader != leader.key:
                return f"{key} does not follow {leader.key}"
            if slot.process.machine.index < self._probe:
                return f"{key} has applied {slot.process.machine.index} of {self._probe}"
        return ""

    # The report

    def _describe(self, report: CoreReport) -> None:
        world, monitor = self.world, self.world.monitor
        report.simulated_s, report.events, report.digest = world.now, world.events, world.digest()
        report.injected = dict(sorted(self.injector.counts.items()))
        report.committed, report.elections = monitor.committed_index, monitor.elections
        report.proposed, report.reads = self.workload.proposed, self.workload.reads
        report.changes, report.voters = self.operator.changes, len(self.operator.voters)
        for slot in world.slots.values():
            shown = "down" if slot.process is None else str(summary(slot.process.node))
            report.replicas[str(slot.key)] = shown
