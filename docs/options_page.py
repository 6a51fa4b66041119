"""
Writes docs/options.md from the declarations: C{python docs/options_page.py > docs/options.md}.

A test holds the page to what this prints.
"""

from __future__ import annotations

from streamline.config import BrokerConfig
from streamline.options.declared import BROKER_OPTIONS, OPTIONS
from streamline.settings import format_value, settings_of

HEAD = """\
# Options

<!-- Written by docs/options_page.py from the declarations in streamline/config.py; change those. -->

Each option of `twist streamline` and `twistd streamline` can be given in three places:

1. on the command line: `--node-id 2`,
2. in the environment: `STREAMLINE_NODE_ID=2`; an empty variable gives nothing,
3. in the TOML file that `--config` (or `STREAMLINE_CONFIG`) names: `node-id = 2`.

The first of them that gives it counts. A name that is none of these is refused, with the nearest one that is.

| option | default | meaning |
|---|---|---|
"""

BETWEEN = """
Endpoints are [Twisted's](https://docs.twisted.org/en/stable/core/howto/endpoints.html), such as
`tcp:9092:interface=127.0.0.1`. Plugins are chosen as `name` or `name:key=value:key=value`; a colon within a value is
written `\\:`. `--help-plugins` lists what is installed.

## The file

```toml
node-id = 2
data-dir = "/var/lib/streamline"
listen = "tcp:9092"
advertised-addr = "kafka-2.example.com:9092"

[broker]
log.retention.ms = 86400000
"max.connections.per.ip" = 100   # quotes are always allowed, and needed where one name begins with another
```

The table `[broker]` takes Kafka's broker settings under Kafka's names. Where one is an option as well ({aliases}),
the option counts.

| setting | default | meaning |
|---|---|---|
"""


def page() -> str:
    """Return the page."""
    aliases = ", ".join(f"`{kafka}`" for kafka in BROKER_OPTIONS.values())
    options = [(f"`--{option.name}`", _code(option.default), option.doc) for option in OPTIONS.values()]
    settings = [
        (f"`{name}`", _code(format_value(attribute.default)), attribute.metadata["doc"])
        for name, attribute in settings_of(BrokerConfig).items()
    ]
    return HEAD + _rows(options) + BETWEEN.format(aliases=aliases) + _rows(settings)


def _code(default: str) -> str:
    return f"`{default}`" if default and "; " not in default else default


def _rows(rows: list[tuple[str, str, str]]) -> str:
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


if __name__ == "__main__":
    print(page(), end="")
