"""
The close look at a batch that the quick one does not understand: every record, and another codec where the topic wants.
"""

from __future__ import annotations

from collections.abc import Generator

from streamline.config import TopicConfig
from streamline.errors import ErrorCode, Refused
from streamline.model import Buffer
from streamline.wire.batch import BatchHeader, check, produced_header
from streamline.wire.quick import Looked
from streamline.wire.recompress import CODECS, recompress


def look_closely(
    records: Buffer | None, config: TopicConfig, now_ms: int, produce_version: int | None
) -> Generator[None, None, tuple[Buffer, Looked]]:
    """
    Check a batch by itself; return it as it is to be stored.

    Looking at the records of a large one is more than one turn's work; this pauses where others should have the
    reactor.

    @param produce_version: that of the client's request; None where it is of our own making.
    @raise Refused: something is wrong with it.
    """
    # Here, because its tables take longer to make than a start should wait for what it does not need.
    from streamline.wire.recordcheck import checking

    header = produced_header(records)
    assert records is not None
    check(
        records,
        0,
        header,
        max_bytes=config.max_message_bytes,
        produce_version=produce_version,
        now_ms=None if config.message_timestamp_type == "LogAppendTime" else now_ms,
        timestamp_before_max_ms=config.message_timestamp_before_max_ms,
        timestamp_after_max_ms=config.message_timestamp_after_max_ms,
    )
    checked = yield from checking(records, header)
    codec = CODECS.get(config.compression_type, header.compression)
    if codec != header.compression:
        records, header = _recompressed(records, config, codec)
    return records, (header, checked.max_timestamp, checked.has_null_key)


def _recompressed(records: Buffer, config: TopicConfig, codec: int) -> tuple[bytes, BatchHeader]:
    batch, header = recompress(records, codec)
    if header.size > config.max_message_bytes:
        raise Refused(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"a batch of {header.size} bytes in {config.compression_type} is larger than {config.max_message_bytes}",
        )
    return batch, header
