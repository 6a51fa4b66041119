"""
Where a cluster lives: its directory and its ports.

Nodes know each other by their addresses, so a directory that is kept remembers the ports beside the data.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from streamline.testing.embedded.plans import Plan
from streamline.testing.embedded.ports import ReservedPort

PORTS_NAME = "ports.json"


class Premises:
    """
    The directory and the ports, from L{open} to L{close}.

    @param count: for how many nodes.
    @param data_dir: where data is kept; None for a temporary place.
    @param founders: how many of them found the cluster; the others know these, and join.
    @param first_port: the first of two ports for each node; 0 for any, or those that C{data_dir} remembers.
    """

    def __init__(self, count: int, data_dir: Path | None, first_port: int, founders: int | None = None) -> None:
        self._count = count
        self._founders = count if founders is None else founders
        self._data_dir = data_dir
        self._first_port = first_port
        self._held = ExitStack()

    def open(self, options: Mapping[str, str], broker: Mapping[str, str]) -> list[Plan]:
        """
        Take them, and say with them what each node is told.

        @raise streamline.testing.embedded.ports.PortTaken: nothing is held then.
        @raise ValueError: the directory holds another cluster; nothing is held then.
        """
        try:
            base = self._directory()
            ports = [self._reserve(number) for number in self._numbers(base / PORTS_NAME)]
            if self._data_dir is not None:
                (base / PORTS_NAME).write_text(json.dumps([port.number for port in ports]))
        except BaseException:
            self.close()
            raise
        kafka, peers = ports[: self._count], ports[self._count :]
        return [
            Plan(
                node_id=at + 1,
                kafka=kafka[at],
                peers=peers[at],
                data_dir=str(base / f"node-{at + 1}"),
                seeds=[port.address for port in kafka[: self._founders] if port is not kafka[at]],
                options=options,
                broker=broker,
            )
            for at in range(self._count)
        ]

    def close(self) -> None:
        """Give everything back; fine where that is so."""
        self._held.close()

    def _directory(self) -> Path:
        if self._data_dir is not None:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            return self._data_dir
        temporary = Path(tempfile.mkdtemp(prefix="streamline-"))
        self._held.callback(shutil.rmtree, temporary, ignore_errors=True)
        return temporary

    def _reserve(self, number: int) -> ReservedPort:
        port = ReservedPort(number)
        self._held.callback(port.release)
        return port

    def _numbers(self, remembered: Path) -> list[int]:
        """Return the ports: first those for clients, then those for nodes."""
        first, count = self._first_port, 2 * self._count
        if not remembered.exists():
            return list(range(first, first + count)) if first else [0] * count
        numbers: list[int] = json.loads(remembered.read_text())
        if len(numbers) != count or first not in (0, numbers[0]):
            raise ValueError(
                f"{remembered.parent} holds a cluster of {len(numbers) // 2} from port {numbers[0]} on; "
                "go on with that one, or name another directory"
            )
        return numbers


def remembers_ports(data_dir: Path) -> bool:
    """Say whether a cluster was there before, so that its ports are given."""
    return (data_dir / PORTS_NAME).exists()
