"""Print the fixed sample of every message and version, for Kafka's own classes to check; see README.md."""

from __future__ import annotations

import hashlib
import sys

from streamline.wire.codec import encode
from tests.wire.samples import Dice, full, kafkas_versions


def main(digests: bool) -> None:
    """Print name, version and bytes (or a digest of them), one sample a line."""
    for cls, version in kafkas_versions():
        data = encode(full(cls, version, Dice(f"{cls.__name__} {version}")), version)
        if digests:
            print(cls.__name__, version, hashlib.sha256(data).hexdigest()[:16], sep="\t")
        else:
            print(cls.__name__, version, data.hex())
            print(cls.__name__, version, encode(cls(), version).hex())


if __name__ == "__main__":
    main("--digests" in sys.argv)
