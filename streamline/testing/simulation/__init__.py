"""
A seeded world in which whole nodes run: clock, network, disk and chance.

The same seed gives the same history, event by event.  C{docs/simulation.md}
says how to run it and how to replay a failure.
"""

from streamline.testing.simulation.disk import SimDisk
from streamline.testing.simulation.links import Fabric, Weather
from streamline.testing.simulation.machine import Machine, Process
from streamline.testing.simulation.network import SimNetwork
from streamline.testing.simulation.platter import DiskFaults, Platter
from streamline.testing.simulation.reactor import SimReactor
from streamline.testing.simulation.world import Livelock, MachineDown, Simulation

__all__ = [
    "DiskFaults",
    "Fabric",
    "Livelock",
    "Machine",
    "MachineDown",
    "Platter",
    "Process",
    "SimDisk",
    "SimNetwork",
    "SimReactor",
    "Simulation",
    "Weather",
]
