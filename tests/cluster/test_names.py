"""What a topic may be called (SE19)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.names import check_new_topic_name, check_topic_name
from streamline.errors import ErrorCode, Refused


class TopicNameTests(SynchronousTestCase):
    """Kafka's rules, which also keep every name inside the data directory."""

    def test_good(self) -> None:
        for name in ("a", "A.b_c-9", "..a", "__consumer_offsets", "-", "x" * 249):
            check_topic_name(name)

    def test_bad(self) -> None:
        bad = (
            "", ".", "..", "../x", "a/b", "/etc", "a\0b", "a b", "a\n", "\u00e9", "a:b", "x" * 250, "a\\b", "~",
            "a\u2028",
        )  # fmt: skip
        for name in bad:
            refusal = self.assertRaises(Refused, check_topic_name, name)
            self.assertEqual(refusal.code, ErrorCode.INVALID_TOPIC_EXCEPTION, repr(name))

    @given(st.text(max_size=300))
    def test_whatever_passes_is_one_plain_file_name(self, name: str) -> None:
        try:
            check_topic_name(name)
        except Refused:
            return
        self.assertNotIn(name, (".", ".."))
        self.assertFalse(set(name) & set("/\\\0: \n"))
        self.assertLessEqual(len(f"{name}-9999".encode()), 255)

    def test_dots_and_underscores_collide(self) -> None:
        for name in ("a_b", "a.b"):
            refusal = self.assertRaises(Refused, check_new_topic_name, name, ["a.b" if name == "a_b" else "a_b"])
            self.assertEqual(refusal.code, ErrorCode.INVALID_TOPIC_EXCEPTION)
        check_new_topic_name("ab", ["a.b", "a_c"])
        check_new_topic_name("a.b", ["a.b.c"])

    def test_case_tells_names_apart(self) -> None:
        check_new_topic_name("Orders", ["orders"])

    def test_kafkas_own(self) -> None:
        refusal = self.assertRaises(Refused, check_new_topic_name, "__cluster_metadata", [])
        self.assertEqual(refusal.code, ErrorCode.INVALID_REQUEST)
