"""Reading which topics consumers subscribe to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.groups.subscriptions import subscribed_topics
from tests.groups.harness import subscription


class SubscriptionTests(SynchronousTestCase):
    """Topics are read from any version; what is no subscription tells nothing."""

    def test_topics_of_all_members(self) -> None:
        blobs = [subscription("a", "b"), subscription("b", "été", version=3, rest=b"owned partitions")]
        self.assertEqual(subscribed_topics(blobs), {"a", "b", "été"})

    def test_no_members_no_topics(self) -> None:
        self.assertEqual(subscribed_topics([]), frozenset())

    def test_one_that_cannot_be_read_spoils_the_answer(self) -> None:
        bad = [b"", b"\0\0", b"\0\0\xff\xff\xff\xff", subscription("a")[:8] + b"\xff", b"\0\0\0\0\0\1\0\1\xff"]
        for blob in bad:
            self.assertIsNone(subscribed_topics([subscription("a"), blob]), blob)

    def test_a_count_beyond_the_bytes_is_not_believed(self) -> None:
        self.assertIsNone(subscribed_topics([b"\0\0\x7f\xff\xff\xff" + b"\0" * 100]))

    @given(st.binary(max_size=64))
    def test_any_bytes_are_read_or_refused(self, blob: bytes) -> None:
        subscribed_topics([blob])

    @given(st.lists(st.text(max_size=8), max_size=5))
    def test_what_was_written_is_read(self, topics: list[str]) -> None:
        self.assertEqual(subscribed_topics([subscription(*topics)]), frozenset(topics))
