"""
The content of one simulated file: what the page cache shows, and what the device holds.

Writes and truncations reach the page cache at once and the device when a sync
that covers them ends.  Where power is lost before, each page that was touched
is on the device as some earlier state of it, pages independently of each other,
the length likewise, and the last write may be torn (F8, F9).  After a failed sync
the pages it covered count as clean, as on Linux, although the device lacks them:
only a power cut tells.
"""

from __future__ import annotations

from random import Random

PAGE_BYTES = 4096
SECTOR_BYTES = 512


class Inode:
    """
    A file without its name.

    @ivar data: what reading shows now.
    @ivar pending: the changes that the device lacks, in order: (byte, bytes) for a write, (size, None) to truncate.
    @ivar version: counts how often what the device holds may have changed.
    @ivar cuts: counts how often what reading shows has become other than what it was with more behind it.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.pending: list[tuple[int, bytes | None]] = []
        self.version = 0
        self.cuts = 0
        self._platter = bytearray()

    @property
    def durable(self) -> bytes:
        """What the device holds."""
        return bytes(self._platter)

    def write(self, at: int, data: bytes) -> None:
        """Write into the page cache; a gap before C{at} reads as zeros."""
        self.cuts += at < len(self.data)
        _write(self.data, at, data)
        self.pending.append((at, data))

    def truncate(self, size: int) -> None:
        """Cut or extend the page cache's view."""
        self.cuts += 1
        _resize(self.data, size)
        self.pending.append((size, None))

    def begin_sync(self) -> int:
        """Return how many of the pending changes a sync that begins now covers."""
        return len(self.pending)

    def end_sync(self, covered: int) -> None:
        """Let those changes be on the device."""
        self.version += 1
        for at, data in self.pending[:covered]:
            _apply(self._platter, at, data)
        del self.pending[:covered]

    def fail_sync(self, covered: int) -> None:
        """Let those changes be taken for clean, though the device does not have them."""
        del self.pending[:covered]

    def lose_power(self, rng: Random) -> None:
        """Become what the device holds, after it wrote back whichever pages it had come to."""
        written_back = rng.choice((0.0, 1.0, rng.random()))
        self._tear(rng)
        kept = self._kept_by_page(rng, written_back)
        size = self._kept_size(rng, written_back)
        image = bytearray(self._platter)
        for number, (at, data) in enumerate(self.pending):
            if data is None:
                self._truncate_pages(image, at, number, kept)
            else:
                self._write_pages(image, at, data, number, kept)
        _resize(image, size)
        self.data = image
        self._platter = bytearray(image)
        self.version += 1
        self.cuts += 1
        self.pending.clear()

    def _tear(self, rng: Random) -> None:
        """Cut the last write short, at a sector's or at any byte's boundary."""
        if self.pending and (last := self.pending[-1])[1] and rng.random() < 0.5:
            at, data = last
            assert data is not None
            end = rng.randrange(len(data))
            if rng.random() < 0.5:
                end = max(0, (at + end) // SECTOR_BYTES * SECTOR_BYTES - at)
            self.pending[-1] = (at, data[:end])

    def _kept_by_page(self, rng: Random, written_back: float) -> dict[int, int]:
        """Return, for each page touched, the number of changes to the file after which the device has its state."""
        touched: dict[int, list[int]] = {}
        for number, (at, data) in enumerate(self.pending):
            for page in _pages(at, len(self.data) if data is None else at + len(data)):
                touched.setdefault(page, []).append(number)
        kept = {}
        for page, numbers in touched.items():
            whole = rng.random() < written_back
            kept[page] = numbers[-1] + 1 if whole else rng.choice((0, *numbers))
        return kept

    def _kept_size(self, rng: Random, written_back: float) -> int:
        size = len(self._platter)
        sizes = [size]
        for at, data in self.pending:
            size = at if data is None else max(size, at + len(data))
            sizes.append(size)
        return sizes[-1] if rng.random() < written_back else rng.choice(sizes)

    def _write_pages(self, image: bytearray, at: int, data: bytes, number: int, kept: dict[int, int]) -> None:
        for page in _pages(at, at + len(data)):
            if number < kept[page]:
                start = max(at, page * PAGE_BYTES)
                end = min(at + len(data), (page + 1) * PAGE_BYTES)
                _write(image, start, data[start - at : end - at])

    def _truncate_pages(self, image: bytearray, size: int, number: int, kept: dict[int, int]) -> None:
        for page in _pages(size, len(image)):
            if number < kept.get(page, 0):
                start = max(size, page * PAGE_BYTES)
                end = min(len(image), (page + 1) * PAGE_BYTES)
                image[start:end] = bytes(max(0, end - start))


def _pages(start: int, end: int) -> range:
    return range(start // PAGE_BYTES, -(-end // PAGE_BYTES)) if end > start else range(0)


def _apply(image: bytearray, at: int, data: bytes | None) -> None:
    if data is None:
        _resize(image, at)
    else:
        _write(image, at, data)


def _write(image: bytearray, at: int, data: bytes) -> None:
    if len(image) < at:
        image.extend(bytes(at - len(image)))
    image[at : at + len(data)] = data


def _resize(image: bytearray, size: int) -> None:
    if size < len(image):
        del image[size:]
    else:
        image.extend(bytes(size - len(image)))
