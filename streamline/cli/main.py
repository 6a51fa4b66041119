"""
Reads the command line and calls what was asked for.

Nothing of a node is imported here: C{--help} answers at once, and a demo has its first second for other things.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from streamline import __version__

FIRST_PORT = 9092


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Be the command.

    @param arguments: by default those of the process.
    @raise SystemExit: with the status of the process.
    """
    parsed = _parser().parse_args(arguments)
    sys.exit(_demo(parsed))


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
