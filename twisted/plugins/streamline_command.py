"""Gives C{twist} and C{twistd} the command C{streamline}."""

from twisted.application.service import ServiceMaker

streamline = ServiceMaker("Streamline", "streamline.tap", "A node of a Kafka-compatible cluster.", "streamline")
