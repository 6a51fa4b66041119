"""Gives C{twist} and C{twistd} the command C{streamline}."""

from typing import Any

from twisted.application.service import ServiceMaker


class Command(ServiceMaker):
    """Imports what a node needs for whoever asks for the command, while the garbage collector rests."""

    @property
    def options(self) -> Any:
        """Return the class of the command's options."""
        from streamline.services.collector import collector_held

        with collector_held():
            return super().options


streamline = Command("Streamline", "streamline.tap", "A node of a Kafka-compatible cluster.", "streamline")
