"""
The same records in another codec, for topics whose compression.type is not C{producer}.

The records themselves are neither read nor changed; the header keeps its
producer, sequence and timestamps.
"""

from streamline.model import Buffer
from streamline.wire.batch import COMPRESSION_MASK, HEADER_BYTES, LOG_OVERHEAD, BatchHeader, checksum, read_header
from streamline.wire.compress import compress, decompress

CODECS = {"uncompressed": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""The codecs by the names that settings give them."""


def recompress(buf: Buffer, codec: int) -> tuple[bytes, BatchHeader]:
    """
    Return a whole batch with its records in C{codec}, and its header.

    @param buf: one batch, which has been checked.
    @raise Refused: it cannot be decompressed within the limit of L{decompress}.
    """
    header = read_header(buf)
    body = compress(codec, decompress(header.compression, memoryview(buf)[HEADER_BYTES : header.size]))
    header.attributes = header.attributes & ~COMPRESSION_MASK | codec
    header.batch_length = HEADER_BYTES - LOG_OVERHEAD + len(body)
    header.crc = checksum(header, body)
    return header.pack() + body, header
