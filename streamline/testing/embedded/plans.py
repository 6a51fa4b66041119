"""
What each node of a cluster is told: the options of C{twist streamline}, and settings under Kafka's names.

The same plan makes a node of this process, through the code that reads the command line, and a configuration file for a
process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from streamline.config import BrokerConfig, NodeConfig
from streamline.model import Endpoint
from streamline.options.declared import OPTIONS
from streamline.options.settling import settle
from streamline.options.sources import Gathered, Given
from streamline.plugins import Installed
from streamline.settings import format_value, nearest, settings_of
from streamline.testing.embedded.ports import LOOPBACK, ReservedPort

OURS = ("node-id", "listen", "cluster-listen", "advertised-addr", "advertised-cluster-addr", "seed-nodes", "data-dir")
"""Options that the cluster itself gives its nodes."""

FOR_TESTS: Mapping[str, str] = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "100",
    "log.space.reserve.bytes": "0",
    "offsets.topic.num.partitions": "4",
}
"""Settings that spare a test waiting; whoever gives them otherwise gets his own."""


@frozen(kw_only=True)
class Plan:
    """
    One node before it lives.

    @ivar kafka: its port for clients; C{peers} that for other nodes.
    @ivar options: of the command, by name, without those of L{OURS}.
    @ivar broker: settings, by Kafka's name.
    @ivar advertised: where other nodes are told to connect, if not where it listens.
    """

    node_id: int
    kafka: ReservedPort
    peers: ReservedPort
    data_dir: str
    seeds: Sequence[Endpoint]
    options: Mapping[str, str]
    broker: Mapping[str, str]
    advertised: Endpoint | None = None

    def spoken(self) -> dict[str, str]:
        """Return all options."""
        own = {
            "node-id": str(self.node_id),
            "listen": self.kafka.endpoint,
            "cluster-listen": self.peers.endpoint,
            "seed-nodes": ",".join(map(str, self.seeds)),
            "data-dir": self.data_dir,
        }
        if self.advertised is not None:
            own["advertised-cluster-addr"] = str(self.advertised)
        return {**self.options, **own}

    def config(self, installed: Installed) -> NodeConfig:
        """
        Return the settings of a node in this process.

        @param installed: the plugins to choose from.
        @raise ValueError: with a sentence.
        """
        options = {name: Given(text, name.replace("-", "_")) for name, text in self.spoken().items()}
        broker = {name: Given(text, name) for name, text in self.broker.items()}
        config = settle(Gathered(options, broker), installed)
        # Whoever wants pages says where: the import alone takes as long as starting the cluster.
        return config if "http-listen" in self.options else evolve(config, http_listen=None)

    def toml(self) -> str:
        """Return the configuration file of a node in a process of its own."""
        options = {"http-listen": f"tcp:0:interface={LOOPBACK}", "log-format": "json", **self.spoken()}
        rows = [f"{name} = {json.dumps(text)}" for name, text in options.items()]
        settings = [f"{json.dumps(name)} = {json.dumps(text)}" for name, text in self.broker.items()]
        return "\n".join([*rows, "[broker]", *settings, ""])


def sort_out(settings: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """
    Tell options of the command from settings of the broker; both are written as Python's keywords.

    @raise TypeError: one is neither, or the cluster's own affair.
    """
    options: dict[str, str] = {}
    broker = dict(FOR_TESTS)
    known = settings_of(BrokerConfig)
    for keyword, value in settings.items():
        option, setting = keyword.replace("_", "-"), keyword.replace("_", ".")
        if option in OURS or option == "config":
            raise TypeError(f"{keyword} is for the cluster to choose")
        if option in OPTIONS:
            options[option] = format_value(value)
        elif setting in known:
            broker[setting] = format_value(value)
        else:
            names = [name.replace("-", "_").replace(".", "_") for name in (*OPTIONS, *known)]
            raise TypeError(f"there is no setting '{keyword}'{nearest(keyword, names)}")
    return options, broker
