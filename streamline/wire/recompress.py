"""Put a batch's records into another codec, for topics whose compression.type is not the producer's choice."""

import attrs

from streamline.model import Buffer
from streamline.wire.batch import COMPRESSION_MASK, HEADER_BYTES, LOG_OVERHEAD, BatchHeader, checksum
from streamline.wire.compress import GZIP, LZ4, NO_COMPRESSION, SNAPPY, ZSTD, compress, decompress

CODECS = {"uncompressed": NO_COMPRESSION, "gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}
"""What compression.type names; C{producer} is none of them."""


def recompress(buf: Buffer, header: BatchHeader, codec: int) -> tuple[bytes, BatchHeader]:
    """
    Return a batch that has been checked, in another codec, and its header.

    The records stay byte for byte what they were: only what is around them changes.
    """
    body = compress(codec, decompress(header.compression, memoryview(buf)[HEADER_BYTES : header.size]))
    changed = attrs.evolve(
        header,
        attributes=header.attributes & ~COMPRESSION_MASK | codec,
        batch_length=HEADER_BYTES - LOG_OVERHEAD + len(body),
    )
    changed.crc = checksum(changed, body)
    return changed.pack() + bytes(body), changed
