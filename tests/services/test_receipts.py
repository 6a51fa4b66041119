"""What a partition says of a batch."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.services.receipts import refused


class ReceiptTests(SynchronousTestCase):
    """A refusal is all that is kept of a batch that was not taken."""

    def test_keeps_no_frames(self) -> None:
        """A request of thousands of batches would otherwise keep what each of them passed through."""
        try:
            try:
                dict[str, int]()["missing"]  # noqa: B018
            except KeyError:
                raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "it is not here")  # noqa: B904
        except Refused as refusal:
            receipt = refused(refusal)
        kept = receipt.refusal
        assert kept is not None
        self.assertEqual((kept.code, kept.message), (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "it is not here"))
        self.assertEqual((kept.__traceback__, kept.__context__), (None, None))
