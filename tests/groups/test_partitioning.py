"""Which partition a group lives in, as Java counts."""

from twisted.trial.unittest import SynchronousTestCase

from streamline.groups.partitioning import java_hash, partition_for, utf16_units

# What a JVM printed: text, String.hashCode(), and the partition of 50 and of 7.
JAVA = [
    ("", 0, 0, 0),
    ("hello", 99162322, 22, 0),
    ("console-consumer-12345", 158455506, 6, 6),
    ("polygenelubricants", -2147483648, 0, 0),
    ("group-\U0001f600", 508083057, 7, 6),
    ("\u00e9t\u00e9", 227742, 42, 4),
    ("connect-cluster", 1440343063, 13, 5),
]


class PartitionForTests(SynchronousTestCase):
    """Clients and brokers of other makes must agree with us on where a group is."""

    def test_hash_is_javas(self) -> None:
        for text, value, _, _ in JAVA:
            self.assertEqual(java_hash(text), value, text)

    def test_partition_is_kafkas(self) -> None:
        for text, _, of_fifty, of_seven in JAVA:
            self.assertEqual((partition_for(text, 50), partition_for(text, 7)), (of_fifty, of_seven), text)

    def test_character_beyond_the_basic_plane_is_two_units(self) -> None:
        self.assertEqual(utf16_units("a\U0001f600"), (0x61, 0xD83D, 0xDE00))
