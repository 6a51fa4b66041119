"""
CRC-32C (Castagnoli), the checksum of record batches: over memoryviews, and in pieces.

C{crc32c(data, before=0)} computes the checksum of C{data}; C{before} is that of the bytes that come before, if any.
"""

from crc32c import crc32c

__all__ = ["crc32c"]
