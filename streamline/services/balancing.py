"""
Preferred leaders come back: what a broker that was away led before, it leads again once it is in sync.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.cluster.elections import balance
from streamline.config import NodeConfig
from streamline.errors import Refused
from streamline.interfaces import Host
from streamline.services.controllership import Controllership

log = Logger()

ELECTIONS_MAX: Final = 1000
"""How many partitions get another leader in one command."""
MORE_S: Final = 0.1
"""How soon the next ones do."""


class Balancing(Service):
    """Looks from time to time, wherever this node is the controller."""

    def __init__(self, host: Host, config: NodeConfig, controllership: Controllership) -> None:
        self._clock = host.clock
        self._controllership = controllership
        self._is_enabled = config.broker.auto_leader_rebalance_enable
        self._every_s = config.broker.leader_imbalance_check_interval_seconds
        self._timer: IDelayedCall | None = None
        controllership.add_duty(self)

    def stopService(self) -> None:
        """Look no more."""
        Service.stopService(self)
        self.resigned()

    def took_over(self) -> None:
        """Look after one interval, and then again."""
        if self._is_enabled:
            self._look_after(self._every_s)

    def resigned(self) -> None:
        """Leave that to the next controller."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_after(self, seconds: float) -> None:
        if self._timer is None and self._controllership.is_active:
            self._timer = self._clock.callLater(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        decided = self._controllership.decide(lambda image: balance(image, ELECTIONS_MAX))
        decided.addCallbacks(self._balanced, self._not_balanced)

    def _balanced(self, results: list[Any]) -> None:
        if results:
            log.info("partitions of {count} topics are led by their preferred leaders again", count=len(results))
        self._look_after(MORE_S if results else self._every_s)

    def _not_balanced(self, failure: Failure) -> None:
        failure.trap(Refused)
        self._look_after(self._every_s)
