"""
The four codecs of record batches, with a limit on what comes out.

A few bytes can expand a thousandfold (zstd: 32,000 times), so output goes into a buffer that never grows past a
limit, whatever the input says about itself.  The rule is L{output_limit}: sixteen times the input, but at least
4 MiB, because honest batches of very regular records compress better than that, and at most 32 MiB.  Whoever is
over it is answered MESSAGE_TOO_LARGE, upon which Kafka's own producer splits its batch and succeeds.
"""

from collections.abc import Callable
from struct import Struct
from struct import error as StructError

import cramjam

from streamline.errors import ErrorCode, Refused
from streamline.model import Buffer

NO_COMPRESSION, GZIP, SNAPPY, LZ4, ZSTD = range(5)
"""The codecs, as the low three bits of a batch's attributes number them."""

LEAST_OUTPUT_BYTES = 4 << 20
MOST_OUTPUT_BYTES = 32 << 20
OUTPUT_RATIO = 16

_FIRST_GUESS_BYTES = 64 << 10
_XERIAL_MAGIC = b"\x82SNAPPY\0"
_XERIAL_HEADER = _XERIAL_MAGIC + b"\0\0\0\1\0\0\0\1"
_XERIAL_BLOCK_BYTES = 32 << 10
_XERIAL_BLOCKS = 4096
"""Clients write blocks of 32 KiB, of which L{MOST_OUTPUT_BYTES} holds 1024."""
_LENGTH = Struct(">i")


def output_limit(size_bytes: int) -> int:
    """Give how many bytes C{size_bytes} compressed bytes may become."""
    return min(MOST_OUTPUT_BYTES, max(LEAST_OUTPUT_BYTES, OUTPUT_RATIO * size_bytes))


def decompress(codec: int, data: Buffer, limit: int | None = None) -> Buffer:
    """
    Decompress what follows the header of a batch; C{data} itself where it is not compressed.

    @param limit: the most bytes that may come out; by default what L{output_limit} says.
    @raise Refused: MESSAGE_TOO_LARGE, there would be more; INVALID_RECORD, it is not what the codec writes;
        UNSUPPORTED_COMPRESSION_TYPE, there is no such codec.
    """
    if codec == NO_COMPRESSION:
        return data
    most = output_limit(len(data)) if limit is None else limit
    try:
        if codec == SNAPPY:
            return _snappy(data, most)
        if codec in _STREAMS:
            return _stream(_STREAMS[codec].decompress_into, data, most)
    except (cramjam.DecompressionError, StructError) as error:
        raise Refused(ErrorCode.INVALID_RECORD, f"records cannot be decompressed: {error}") from None
    raise Refused(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"there is no codec {codec}")


def compress(codec: int, data: Buffer) -> bytes:
    """
    Compress records as Kafka's own clients do.

    @raise ValueError: there is no such codec.
    """
    if codec == NO_COMPRESSION:
        return bytes(data)
    if codec == SNAPPY:
        return _xerial(memoryview(data))
    if codec in _STREAMS:
        return bytes(_STREAMS[codec].compress(data))
    raise ValueError(f"there is no codec {codec}")


_STREAMS = {GZIP: cramjam.gzip, LZ4: cramjam.lz4, ZSTD: cramjam.zstd}


def _stream(decompress_into: Callable[[Buffer, bytearray], int], data: Buffer, most: int) -> Buffer:
    """Decompress into ever larger buffers, so that a small batch never costs a large one."""
    size = min(most, max(_FIRST_GUESS_BYTES, 4 * len(data)))
    while True:
        out = bytearray(size)
        try:
            return memoryview(out)[: decompress_into(data, out)]
        except cramjam.DecompressionError as error:
            # The library has no error of its own for a full buffer; a corrupt input is tried again for
            # nothing, which the limit bounds.
            if size >= most:
                raise _refusal(error, most) from None
        size = min(most, size * 4)


def _refusal(error: Exception, most: int) -> Exception:
    if "whole buffer" in str(error):
        return _too_large(most)
    return error


def _too_large(most: int) -> Refused:
    return Refused(ErrorCode.MESSAGE_TOO_LARGE, f"decompressed, the records have more than {most} bytes")


def _snappy(data: Buffer, most: int) -> Buffer:
    """
    Decompress raw snappy (librdkafka) or the blocks of snappy-java (Java and most others).

    Each block says how long it is, so all is added up before anything is made.
    """
    view = memoryview(data)
    if bytes(view[: len(_XERIAL_MAGIC)]) != _XERIAL_MAGIC:
        blocks = [view]
    else:
        blocks, at = [], len(_XERIAL_HEADER)
        while at < len(view):
            (length,) = _LENGTH.unpack_from(view, at)
            at += 4
            if not 0 < length <= len(view) - at or len(blocks) == _XERIAL_BLOCKS:
                raise Refused(ErrorCode.INVALID_RECORD, f"snappy block {len(blocks)} cannot have {length} bytes")
            blocks.append(view[at : at + length])
            at += length
    sizes = [cramjam.snappy.decompress_raw_len(block) for block in blocks]
    if sum(sizes) > most:
        raise _too_large(most)
    out = memoryview(bytearray(sum(sizes)))
    at = 0
    for block, size in zip(blocks, sizes, strict=True):
        if size:
            cramjam.snappy.decompress_raw_into(block, out[at : at + size])
        at += size
    return out


def _xerial(data: memoryview) -> bytes:
    parts = [_XERIAL_HEADER]
    for at in range(0, len(data), _XERIAL_BLOCK_BYTES):
        block = bytes(cramjam.snappy.compress_raw(data[at : at + _XERIAL_BLOCK_BYTES]))
        parts += _LENGTH.pack(len(block)), block
    return b"".join(parts)
