"""What is declared is Kafka 4.3."""

from __future__ import annotations

import hashlib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from streamline.wire.codec import encode
from streamline.wire.messages import REQUESTS, RESPONSES
from tests.wire.samples import Dice, full, kafkas_versions

# api key: (lowest version, highest, first flexible one), as Kafka 4.3 has them.
KAFKA_4_3: dict[int, tuple[int, int, int | None]] = {
    0: (3, 13, 9),
    1: (4, 18, 12),
    2: (1, 11, 6),
    3: (0, 13, 9),
    4: (7, 7, 4),  # 4 to 7 are Kafka 3.9's, which 4.0 has no more: the last version of each
    5: (4, 4, 2),
    6: (8, 8, 6),
    7: (3, 3, 3),
    8: (2, 10, 8),
    9: (1, 10, 6),
    10: (0, 6, 3),
    11: (0, 9, 6),
    12: (0, 4, 4),
    13: (0, 5, 4),
    14: (0, 5, 4),
    15: (0, 6, 5),
    16: (0, 5, 3),
    17: (0, 1, None),
    18: (0, 4, 3),
    19: (2, 7, 5),
    20: (1, 6, 4),
    21: (0, 2, 2),
    22: (0, 6, 2),  # 6 is unstable: declared, never advertised
    23: (2, 4, 4),
    24: (0, 5, 3),
    25: (0, 4, 3),
    26: (0, 5, 3),
    27: (1, 2, 1),
    28: (0, 5, 3),
    29: (1, 3, 2),
    30: (1, 3, 2),
    31: (1, 3, 2),
    32: (1, 4, 4),
    33: (0, 2, 2),
    35: (1, 5, 2),
    36: (0, 2, 2),
    37: (0, 3, 2),
    42: (0, 2, 2),
    43: (0, 2, 2),
    44: (0, 1, 1),
    45: (0, 1, 0),
    46: (0, 0, 0),
    47: (0, 0, None),
    48: (0, 1, 1),
    49: (0, 1, 1),
    50: (0, 0, 0),
    51: (0, 0, 0),
    55: (0, 2, 0),
    56: (2, 3, 0),
    57: (0, 2, 0),
    58: (0, 0, 0),
    60: (0, 2, 0),
    61: (0, 0, 0),
    62: (0, 4, 0),
    63: (0, 2, 0),
    64: (0, 0, 0),
    65: (0, 0, 0),
    66: (0, 2, 0),
    67: (0, 0, 0),
    68: (0, 1, 0),
    69: (0, 1, 0),
    74: (0, 1, 0),
    75: (0, 0, 0),
    80: (0, 1, 0),
    81: (0, 0, 0),
}

DIGESTS = Path(__file__).parent / "oracle" / "digests.tsv"


class DeclarationTests(SynchronousTestCase):
    """Versions and bytes are those of Kafka 4.3."""

    def test_versions(self) -> None:
        for table in (REQUESTS, RESPONSES):
            found = {key: (*cls.VERSIONS, cls.FLEXIBLE) for key, cls in table.items()}
            self.assertEqual(found, KAFKA_4_3)

    def test_tables_are_sorted_and_say_what_they_hold(self) -> None:
        for table, kind in ((REQUESTS, "request"), (RESPONSES, "response")):
            self.assertEqual(list(table), sorted(table))
            for key, cls in table.items():
                self.assertEqual((cls.KEY, cls.KIND), (key, kind), cls.__name__)
                self.assertTrue(cls.__name__.lower().endswith(kind), cls.__name__)

    def test_bytes_are_those_that_kafka_read_and_wrote(self) -> None:
        """See oracle/README.md for how the table came about."""
        expected = {}
        for line in DIGESTS.read_text().splitlines():
            name, number, digest = line.split("\t")
            expected[name, int(number)] = digest
        found = {}
        for cls, version in kafkas_versions():
            data = encode(full(cls, version, Dice(f"{cls.__name__} {version}")), version)
            found[cls.__name__, version] = hashlib.sha256(data).hexdigest()[:16]
        self.assertEqual(found, expected)
