"""Which epochs have to agree, and which offsets may be read where."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.model import NO_EPOCH
from streamline.replication.reading import check_follower_read, check_leader_epoch, check_leader_read
from streamline.replication.truncation import LogRange

LOG = LogRange(10, 30)


class ReadingTests(SynchronousTestCase):
    """Readers are told what helps them."""

    def refused(self, code: ErrorCode, check: object, *given: object) -> None:
        """Expect a refusal."""
        assert callable(check)
        self.assertEqual(self.assertRaises(Refused, check, *given).code, code)

    def test_epochs(self) -> None:
        """KR5."""
        check_leader_epoch(5, 5)
        check_leader_epoch(NO_EPOCH, 5)
        self.refused(ErrorCode.FENCED_LEADER_EPOCH, check_leader_epoch, 4, 5)
        self.refused(ErrorCode.UNKNOWN_LEADER_EPOCH, check_leader_epoch, 6, 5)

    def test_leader(self) -> None:
        for offset in (10, 20, 30):
            check_leader_read(offset, LOG)
        for offset in (9, 31):
            self.refused(ErrorCode.OFFSET_OUT_OF_RANGE, check_leader_read, offset, LOG)

    def test_follower(self) -> None:
        """KR10: what it does not know to be committed may be, and be nowhere but at the leader yet."""
        for offset in (10, 25):
            check_follower_read(offset, LOG, 25)
        for offset in (26, 30, 40):
            self.refused(ErrorCode.OFFSET_NOT_AVAILABLE, check_follower_read, offset, LOG, 25)
        self.refused(ErrorCode.OFFSET_OUT_OF_RANGE, check_follower_read, 9, LOG, 25)
