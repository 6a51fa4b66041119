"""What C{twist} and C{twistd} see: the options as they parse them, and the few that only print something."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Sequence

from twisted import __version__ as twisted_version
from twisted.logger import Logger
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from streamline import __version__
from streamline.config import NodeConfig
from streamline.options.declared import NO_PLUGIN, OPTIONS, PLUGIN_POINTS
from streamline.options.settling import settle
from streamline.options.sources import gather
from streamline.plugins import Installed, discover
from streamline.settings import nearest

EXIT_USAGE = 2

log = Logger()


class Options(UsageOptions):
    """
    Options of the C{streamline} command, for C{twist} and C{twistd} alike.

    What is wrong ends the process here: left to themselves, the two print pages
    of help around the reason, and one of them on stdout.

    @ivar config: the node's settings, once parsed.
    @ivar installed: the plugins that they were checked against.
    @ivar log_format: C{auto}, C{text} or C{json}.
    """

    longdesc = (
        "Starts a node of a Kafka-compatible cluster. Without options it serves Kafka clients on "
        "127.0.0.1:9092 and keeps its data in ./streamline-data. Each option can also be a key of the "
        "file given with --config, or an environment variable such as STREAMLINE_NODE_ID; the command line "
        "goes before the environment, and the environment before the file."
    )

    optParameters = [
        [option.name, None, None, option.doc + (f" [default: {option.default}]" if option.default else "")]
        for option in OPTIONS.values()
    ]

    config: NodeConfig
    installed: Installed
    log_format: str

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse; on anything wrong, say so in one sentence and exit."""
        try:
            UsageOptions.parseOptions(self, options)
        except UsageError as error:
            sys.stderr.write(f"streamline: {_in_our_words(str(error))}\n")
            raise SystemExit(EXIT_USAGE) from None

    def parseArgs(self, *arguments: str) -> None:
        """Take no arguments."""
        if arguments:
            raise UsageError(f"'{arguments[0]}' is not an option; options begin with --")

    def postOptions(self) -> None:
        """Settle what the node's settings are."""
        spoken = {name: self[name] for name in OPTIONS if self[name] is not None}
        self.installed = discover()
        for reason in self.installed.passed_over:
            log.warn("{reason}", reason=reason)
        try:
            gathered = gather(spoken, os.environ)
            self.config = settle(gathered, self.installed)
        except ValueError as error:
            raise UsageError(str(error)) from None
        log_format = gathered.options.get("log-format")
        self.log_format = log_format.text if log_format is not None else "auto"

    def opt_version(self) -> None:
        """Display the version and exit."""
        print(f"streamline {__version__} (Twisted {twisted_version}, Python {platform.python_version()})")
        sys.exit(0)

    def opt_help_plugins(self) -> None:
        """Display the plugins that are installed, by the option that chooses them, and exit."""
        print(installed_plugins())
        sys.exit(0)


def installed_plugins() -> str:
    """List the plugins that are installed."""
    installed = discover()
    lines: list[str] = []
    for name, interface in PLUGIN_POINTS.items():
        lines.append(f"--{name} ({interface.__name__})")
        if name in NO_PLUGIN:
            lines.append(f"    {NO_PLUGIN[name]:<12} Nothing; the default.")
        lines.extend(
            f"    {backend.name:<12} {backend.description} [{backend.maker}]"
            for backend in installed.backends
            if backend.interface is interface
        )
    return "\n".join([*lines, *installed.passed_over])


def _in_our_words(complaint: str) -> str:
    """Put getopt's complaint about an option into a sentence that helps."""
    if unknown := re.fullmatch(r"option --(\S+) not recognized", complaint):
        known = [*OPTIONS, "help", "help-plugins", "version"]
        near = nearest(unknown[1], known).replace("mean '", "mean '--")
        return f"--{unknown[1]} is no option{near or '; see --help'}"
    if lacking := re.fullmatch(r"option --(\S+) requires argument", complaint):
        return f"--{lacking[1]} needs a value"
    return complaint
