"""Kafka's own command line tools, run from the jars that C{.ci/jvm} resolved."""

from __future__ import annotations

from collections.abc import Sequence

from tests.clients.brokers import java
from tests.clients.programs import run

#: A tool lives for a second or two: compile little, and share classes.
TOOL_JVM_OPTIONS = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-Xshare:auto")

#: The classes behind the scripts of Kafka's C{bin} directory.
MAIN_CLASSES = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-cluster": "org.apache.kafka.tools.ClusterTool",
    "kafka-features": "org.apache.kafka.tools.FeatureCommand",
    "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
}


def tool(name: str, *arguments: str) -> list[str]:
    """The command line of a tool, named as the script that starts it."""
    return java(MAIN_CLASSES[name], *arguments, jvm_options=TOOL_JVM_OPTIONS)


class Tools:
    """Kafka's tools, pointed at one broker."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def command(self, name: str, *arguments: str) -> Sequence[str]:
        """The command line of a tool that talks to the broker."""
        return tool(name, *arguments, "--bootstrap-server", self.bootstrap)

    def first(self, name: str, *arguments: str) -> str:
        """
        Run a tool that takes the broker before its sub-command, and return what it printed.

        @raise AssertionError: it failed.
        """
        return run(tool(name, "--bootstrap-server", self.bootstrap, *arguments))

    def run(self, name: str, *arguments: str, text: str = "") -> str:
        """
        Run a tool to its end and return what it printed.

        @raise AssertionError: it failed.
        """
        return run(self.command(name, *arguments), text)
