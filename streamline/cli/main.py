"""
Reads the command line and calls what was asked for.

Nothing of a node is imported here: C{--help} answers at once, and a demo has its first second for other things.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence

from streamline import __version__

FIRST_PORT = 9092


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Be the command.

    @param arguments: by default those of the process.
    @raise SystemExit: with the status of the process.
    """
    parsed = _parser().parse_args(arguments)
    carry_out: Callable[[Namespace], int] = parsed.carry_out
    sys.exit(carry_out(parsed))


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="streamline",
        description="A Kafka-compatible streaming broker and cluster. A single node is run by 'twist streamline'.",
    )
    parser.add_argument("--version", action="version", version=f"streamline {__version__}")
    commands = parser.add_subparsers(metavar="command", required=True)
    demo = commands.add_parser(
        "demo",
        help="run a whole cluster in this terminal",
        description="Runs a cluster of three nodes in one process, until Ctrl-C. Its data is gone afterwards.",
    )
    demo.add_argument("--nodes", type=_count, default=3, metavar="N", help="how many nodes [default: 3]")
    demo.add_argument("--data", metavar="DIR", help="keep the data in this directory, and go on with what is there")
    demo.add_argument(
        "--port", type=_port, metavar="PORT",
        help=f"the first of two ports for each node [default: {FIRST_PORT}, or where DIR was before]",
    )  # fmt: skip
    demo.set_defaults(carry_out=_demo)
    metadata = commands.add_parser("metadata", help="look at what the cluster has agreed on")
    whats = metadata.add_subparsers(metavar="what", required=True)
    dump = whats.add_parser(
        "dump",
        help="print what a data directory says of the cluster",
        description="Prints brokers, topics, partitions, settings and the quorum as a node's data directory has them. "
        "Nothing is changed; the node may be running.",
    )
    dump.add_argument("directory", metavar="DIR", help="a node's --data-dir")
    dump.add_argument("--json", action="store_true", help="for programs")
    dump.set_defaults(carry_out=_dump)
    return parser


def _count(text: str) -> int:
    return _between(text, 1, 9)


def _port(text: str) -> int:
    return _between(text, 1, 65535)


def _between(text: str, low: int, high: int) -> int:
    from argparse import ArgumentTypeError

    if not text.isdecimal() or not low <= int(text) <= high:
        raise ArgumentTypeError(f"must be a number from {low} to {high}, not {text!r}")
    return int(text)


def _demo(parsed: Namespace) -> int:
    from streamline.cli.demo import run

    return run(parsed.nodes, parsed.data, parsed.port, FIRST_PORT)


def _dump(parsed: Namespace) -> int:
    from streamline.cli.dump import run

    return run(parsed.directory, parsed.json)
