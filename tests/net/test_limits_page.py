"""What docs/limits.md says of limits is what they are."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from streamline.api.fetching import ANSWER_BYTES_LEAST, ANSWER_BYTES_MAX
from streamline.cluster.planning import PARTITIONS_PER_REQUEST_MAX
from streamline.config import BrokerConfig
from streamline.net.accounts import LEAST_ROOM_BYTES
from streamline.net.limits import Limits
from streamline.net.watchman import TRICKLE_BYTES_PER_S
from streamline.replication.sessions import PARTITIONS_MAX
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
            ("time to take something of an answer", f"{limits.stalled_s_max:.0f} s; {limits.pressure_s_max:.0f} s"),
        ):
            self.assertIn(f"| {what} | {said}", PAGE)
        self.assertIn(f"with fetches of {LEAST_ROOM_BYTES // MIB} MiB", PAGE)
        self.assertIn(f"{PARTITIONS_MAX:,} partitions", PAGE)
