"""
C{streamline demo}: a whole cluster in one process, for somebody who wants to see one in ten seconds.

The nodes are those of L{streamline.testing.cluster}, which are those of production.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamline.testing.cluster import Cluster

EXIT_REFUSED = 1

WELCOME = """\
{count} of Streamline {noun}, as one cluster{kept}. Clients connect to

    {bootstrap}

for instance

    kcat -b {bootstrap} -L
    echo hello | kcat -b {bootstrap} -t greetings -P
    python -c 'import kafka; kafka.KafkaProducer(bootstrap_servers="{bootstrap}").send("greetings", b"hello").get(9)'

Ctrl-C ends it{gone}.
"""


def run(nodes: int, data: str | None, port: int | None, default_port: int) -> int:
    """
    Run a cluster until somebody ends it.

    @param data: where its data is kept; None for nowhere.
    @param port: the first port; None for C{default_port}, or what C{data} remembers.
    @return: the status of the process.
    """
    ended = Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    cluster = _start(nodes, data, port, default_port)
    if isinstance(cluster, str):
        sys.stderr.write(f"streamline: {cluster}\n")
        return EXIT_REFUSED
    try:
        print(_welcome(cluster, data), flush=True)
        ended.wait()
    finally:
        cluster.stop()
    return 0


def _start(nodes: int, data: str | None, port: int | None, default_port: int) -> Cluster | str:
    """Return the running cluster, or why there is none."""
    from streamline.services.collector import calm_collector, collector_held

    try:
        with collector_held():
            return _start_held(nodes, data, port, default_port)
    finally:
        calm_collector()


def _start_held(nodes: int, data: str | None, port: int | None, default_port: int) -> Cluster | str:
    from streamline.errors import StartRefused
    from streamline.services.host import keep_freed_memory, share_interpreter
    from streamline.testing.cluster import Cluster, PortTaken
    from streamline.testing.embedded.premises import remembers_ports

    keep_freed_memory()
    share_interpreter()
    remembered = data is not None and remembers_ports(Path(data))
    first = port or (0 if remembered else default_port)
    cluster = Cluster(nodes, data_dir=data, port=first)
    try:
        cluster.start()
    except PortTaken as taken:
        needed = f"ports {first} to {first + 2 * nodes - 1} are needed, and " if first else ""
        advice = "; choose others with --port" if not remembered else ""
        return f"{needed}{taken}{advice}"
    except (StartRefused, TimeoutError, OSError, ValueError) as error:
        return str(error)
    return cluster


def _welcome(cluster: Cluster, data: str | None) -> str:
    count = len(cluster.nodes)
    return WELCOME.format(
        count="One node" if count == 1 else f"{count} nodes",
        noun="runs" if count == 1 else "run",
        kept="" if data is None else f" with its data in {data}",
        gone=", and its data is gone then" if data is None else "",
        bootstrap=cluster.bootstrap,
    )
