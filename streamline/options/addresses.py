"""
Places in the network, as people write them.

Where a node listens is a Twisted server endpoint string, such as
C{tcp:9092:interface=127.0.0.1}; where it is found is C{host:port}.  Every
function here raises C{ValueError} with what is wrong, to be put behind the name
of the option.
"""

from __future__ import annotations

import ipaddress
import re

from streamline.model import Endpoint
from streamline.plugins import split_escaped
from streamline.services.host import server_endpoint

PORT_MAX = 65535
WITH_A_PORT = ("tcp", "tcp6", "ssl", "tls")
ALL_ADDRESSES = ("", "0.0.0.0", "::")
_PORT = re.compile(r"[0-9]{1,5}")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")


def parse_address(text: str) -> Endpoint:
    """Read C{host:port}; an IPv6 address stands in brackets."""
    host, _, port = text.strip().rpartition(":")
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= PORT_MAX or not _is_host(host):
        raise ValueError(f"must be host:port, such as 127.0.0.1:9092 or [::1]:9092, not {text!r}")
    return Endpoint(host.strip("[]"), int(port))


def parse_reachable(text: str) -> Endpoint:
    """Read C{host:port} that others can connect to."""
    endpoint = parse_address(text)
    if endpoint.host in ALL_ADDRESSES:
        raise ValueError(f"must be an address that others can connect to; {endpoint.host} stands for all and for none")
    return endpoint


def parse_addresses(text: str) -> tuple[Endpoint, ...]:
    """Read a comma-separated list of C{host:port}; each counts once."""
    return tuple(dict.fromkeys(parse_address(word) for word in text.split(",") if word.strip()))


def parse_listen(text: str) -> str:
    """Check a server endpoint string and return it."""
    kind, port, _ = _parts(text)
    if kind not in WITH_A_PORT and _looks_like_an_address(text):
        host, _, number = text.rpartition(":")
        raise ValueError(f"must be a Twisted endpoint string; for {text} write tcp:{number}:interface={_escaped(host)}")
    if kind in WITH_A_PORT and not (_PORT.fullmatch(port or "") and int(port or "") <= PORT_MAX):
        raise ValueError(f"must name a port from 0 to {PORT_MAX}, as in {kind}:9092, not {text!r}")
    try:
        # The endpoint is thrown away again, so no reactor has to be there yet.
        server_endpoint(None, text)
    except Exception as error:  # each parser of Twisted has its own ways to say no
        raise ValueError(f"must be a Twisted endpoint string such as tcp:9092:interface=127.0.0.1; {error}") from None
    return text


def address_of(listen: str) -> Endpoint | None:
    """Return the address that a server endpoint string takes connections on; None if others could not use it."""
    kind, port, interface = _parts(listen)
    if kind not in WITH_A_PORT or port is None or interface in ALL_ADDRESSES:
        return None
    return Endpoint(interface, int(port))


def port_of(listen: str) -> int:
    """Return the port of a server endpoint string; 0 where it says none, or any."""
    kind, port, _ = _parts(listen)
    return int(port) if kind in WITH_A_PORT and port is not None else 0


def beside(listen: str, by: int) -> str | None:
    """Return the same endpoint C{by} ports further up; None where there is no such port.  Port 0 is any port."""
    kind, port, _ = _parts(listen)
    if kind not in WITH_A_PORT or port is None or int(port) + by > PORT_MAX:
        return None
    if port == "0":
        return listen
    words = [_escaped(word) for word in split_escaped(listen)]
    at = next(at for at, word in enumerate(words) if word in (port, f"port={port}"))
    words[at] = words[at].removesuffix(port) + str(int(port) + by)
    return ":".join(words)


def _parts(listen: str) -> tuple[str, str | None, str]:
    """Return the kind, port and interface of a server endpoint string."""
    kind, *words = split_escaped(listen)
    keywords = dict(word.split("=", 1) for word in words if "=" in word)
    positional = [word for word in words if "=" not in word]
    port = keywords.get("port", positional[0] if positional else None)
    return kind, port, keywords.get("interface", "")


def _looks_like_an_address(text: str) -> bool:
    try:
        parse_address(text)
    except ValueError:
        return False
    return True


def _is_host(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        try:
            return bool(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            return False
    return _HOST.fullmatch(host) is not None


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace(":", "\\:")
