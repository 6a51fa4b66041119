"""What docs/limits.md says of limits is what they are."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from streamline.api.fetching import ANSWER_BYTES_LEAST, ANSWER_BYTES_MAX
from streamline.api.metadata import CREATIONS_PER_TURN
from streamline.cluster.planning import PARTITIONS_PER_REQUEST_MAX
from streamline.config import BrokerConfig
from streamline.net.accounts import LEAST_ROOM_BYTES
from streamline.net.kafka import FIRST_BYTES, TURN_BYTES
from streamline.net.limits import Limits
from streamline.net.peer import CONNECTIONS_MAX, GUEST_BYTES_MAX, PARTIAL_BYTES_MAX, UNGREETED_MAX
from streamline.net.watchman import TRICKLE_BYTES_PER_S
from streamline.replication.sessions import PARTITIONS_MAX
from streamline.services.peer_protocol import FRAME_BYTES_MAX, GREETING_BYTES_MAX
from streamline.services.sending import RECEIVE_BYTES, RECEIVE_BYTES_MAX
from streamline.settings import format_value, settings_of
from streamline.wire.compress import LEAST_OUTPUT_BYTES, MOST_OUTPUT_BYTES, OUTPUT_RATIO

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()
MIB = 1 << 20


class LimitsPageTests(SynchronousTestCase):
    """A number that changes has to change there, too."""

    def test_settings(self) -> None:
        settings = settings_of(BrokerConfig)
        rows = re.findall(r"^\| `([a-z.]+)` \| `(\d+)` \|", PAGE, re.MULTILINE)
        self.assertGreater(len(rows), 8)
        for name, default in rows:
            self.assertEqual(format_value(settings[name].default), default, name)

    def test_fixed(self) -> None:
        limits = Limits.of(BrokerConfig(), 100_000)
        for what, said in (
            ("array elements in one request", f"{limits.elements_max:,}"),
            ("partitions of all topics in one CreateTopics", f"{PARTITIONS_PER_REQUEST_MAX:,}"),
            (
                "what a compressed batch becomes",
                f"{OUTPUT_RATIO} times as much; at least {LEAST_OUTPUT_BYTES // MIB} MiB "
                f"and at most {MOST_OUTPUT_BYTES // MIB} MiB",
            ),
            ("requests of one connection that wait for their answers", str(limits.pending_max)),
            ("answers of one connection that have not been taken", f"{limits.unsent_bytes_max // MIB} MiB"),
            ("one answer to Fetch", f"{ANSWER_BYTES_MAX // MIB} MiB; down to {ANSWER_BYTES_LEAST // MIB} MiB"),
            ("unfinished requests of all connections together", f"{limits.inbound_bytes_max // MIB} MiB"),
            (
                "requests of all connections that wait, as they lie in memory",
                f"{limits.waiting_bytes_max // MIB} MiB",
            ),
            ("answers of all connections that have not been taken", f"{limits.outbound_bytes_max // MIB} MiB"),
            (
                "time for a request to arrive",
                f"{limits.frame_s_max:.0f} s, unless it comes at {TRICKLE_BYTES_PER_S >> 10} KiB/s or more; "
                f"{limits.pressure_s_max:.0f} s",
            ),
            (
                "what one connection receives at once",
                f"{RECEIVE_BYTES_MAX >> 10} KiB of a request that lacks as much, else {RECEIVE_BYTES + 256 >> 10} KiB; "
                f"less where there are many: all that have begun a request bring {TURN_BYTES // MIB} MiB together in "
                f"one turn, all others {FIRST_BYTES // MIB} MiB",
            ),
            (
                "topics that a Metadata request makes",
                f"{PARTITIONS_PER_REQUEST_MAX:,} partitions' worth, five topics in a turn",
            ),
            ("time to take something of an answer", f"{limits.stalled_s_max:.0f} s; {limits.pressure_s_max:.0f} s"),
        ):
            self.assertIn(f"| {what} | {said}", PAGE)
        self.assertEqual(CREATIONS_PER_TURN, 5)
        for said in (
            f"{CONNECTIONS_MAX:,} connections at most, and {UNGREETED_MAX} of them",
            f"{GREETING_BYTES_MAX >> 10} KiB before",
            f"{GUEST_BYTES_MAX // MIB} MiB from a node", f"{FRAME_BYTES_MAX // MIB} MiB from others",
            f"unfinished frames takes {PARTIAL_BYTES_MAX // MIB} MiB over all",
        ):  # fmt: skip
            self.assertIn(said, PAGE.replace("\n", " "))
        self.assertIn(f"with fetches of {LEAST_ROOM_BYTES // MIB} MiB", PAGE)
        self.assertIn(f"{PARTITIONS_MAX:,} partitions", PAGE)
