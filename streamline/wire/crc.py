"""CRC-32C (Castagnoli), the checksum of record batches: over memoryviews, and in pieces."""

import crc32c as _crc32c

from streamline.model import Buffer


def crc32c(data: Buffer, before: int = 0) -> int:
    """
    Compute the checksum of C{data}.

    @param before: the checksum of the bytes that come before, if any.
    """
    return _crc32c.crc32c(data, before)
