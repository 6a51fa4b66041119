"""
Bugs to be planted into copies of the product, and the faults that bring them to light.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class Bug:
    """
    One bug.

    @ivar says: what it is.
    @ivar file: where it is, from the root of the tree.
    @ivar guard: what stands there, once.
    @ivar instead: what takes its place.
    @ivar faults: those that bring it to light.
    @ivar seed: where to begin; one that found it, not long ago.
    @ivar pace_s: mean time between a producer's batches; who is busy syncs what others neglect.
    @ivar until_s: simulated time of trouble; where several things have to come together, one run has to see much.
    @ivar nodes: of how many the cluster is that finds it, or C{any}; nothing for a node on its own.
    @ivar data: whether there are records in the cluster; C{records_pace_s} as C{pace_s}, for producers of them only.
    @ivar more: what goes as well, because it would do instead: files, what stands there, and what takes its place.
    @ivar whims: what C{--whims} is given; none, so that a seed goes on to stand for what it found.
    """

    says: str
    file: str
    guard: str
    instead: str
    faults: str
    seed: int = 1
    pace_s: float = 0.4
    until_s: float = 60.0
    nodes: str = ""
    data: bool = False
    records_pace_s: float = 0.0
    more: tuple[tuple[str, str, str], ...] = ()
    whims: str = "none"


NODE_BUGS = (
    Bug(
        "a sync is acknowledged before it has ended",
        "streamline/storage/syncing.py",
        "        if self.recovery_point >= target:\n            return succeed(self.recovery_point)\n",
        "        if target >= 0:\n            return succeed(target)\n",
        "power,kill",
        seed=3,
    ),
    Bug(
        "the directory is not synced after a roll",
        "streamline/storage/syncing.py",
        "    disk.sync_directory(directory)\n    return saved\n",
        "    return saved\n",
        "power,kill",
        seed=3,
        more=(("streamline/storage/together.py", "        disk.sync_directory(directory)\n", "        pass\n"),),
    ),
    Bug(
        "a sync counts although the segment before is not durable yet",
        "streamline/storage/syncing.py",
        "        if self._settling:  # also",
        "        if not target:  # also",
        "power,lost-sync,slow-disk",
        seed=27,
    ),
    Bug(
        "recovery keeps a torn tail",
        "streamline/storage/recovery.py",
        "                segment.size = whole\n",
        "",
        "power,kill",
        seed=3,
    ),
    Bug(
        "recovery drops a last batch that is whole",
        "streamline/storage/recovery.py",
        "            or position + size > segment.size\n",
        "            or position + size >= segment.size\n",
        "kill",
    ),
    Bug(
        "recovery serves what is not durable",
        "streamline/storage/together.py",
        "    for file in (*one.files, *one.passing):\n        file.sync()\n",
        "",
        "relapse,kill",
        seed=2,
        pace_s=1.5,
        until_s=180.0,
    ),
    Bug(
        "the marker of a clean stop is not taken away",
        "streamline/storage/markers.py",
        "        self._disk.remove(self._clean)\n        self._disk.sync_directory(self._directory)\n"
        "        return epoch\n",
        "        return epoch\n",
        "stop,power,kill",
        seed=2,
    ),
    Bug(
        "readers see what is not committed",
        "streamline/services/partition.py",
        "return read(offset, max_bytes, end_offset=self.high_watermark, at_least_one=at_least_one)\n",
        "return read(offset, max_bytes, end_offset=self.log.end_offset, at_least_one=at_least_one)\n",
        "power,slow-disk",
        seed=11,
    ),
    Bug(
        "producers are not rebuilt from the log",
        "streamline/services/remembering.py",
        "    producers.wrote(header.producer_id, header.producer_epoch, batch, now_ms)\n",
        "",
        "kill,reset",
    ),
    Bug(
        "one batch is remembered of each producer, not five",
        "streamline/transactions/producers.py",
        "REMEMBERED_BATCHES = 5\n",
        "REMEMBERED_BATCHES = 1\n",
        "kill,reset",
    ),
    Bug(
        "a batch that could not be written is remembered",
        "streamline/transactions/producers.py",
        "        for offset, producer_id, before in reversed(self._undo):\n",
        "        for offset, producer_id, before in ():\n",
        "full-disk,write-error",
    ),
    Bug(
        "a metadata command is applied before its sync",
        "streamline/services/single.py",
        "        self._file.sync_later().addCallbacks(self._synced, self._sync_failed, callbackArgs=(entry.index,))\n",
        "        self._synced(None, entry.index)\n",
        "power",
        seed=3,
    ),
)

REPLICA = "streamline/services/raftreplica.py"
WRITER = "streamline/services/raftwriter.py"
STORE = "streamline/services/raftstore.py"
WAITING = "streamline/services/raftwaiting.py"

CLUSTER_BUGS = (
    Bug(
        "votes and acknowledgements do not wait for the sync",
        WRITER,
        "            await self._store.sync()\n            self._is_marked = False\n        if self._running:\n"
        "            self._owner.written(readies)\n",
        "            self._owner.written(readies)\n",
        "power,kill",
        nodes="3",
    ),
    Bug(
        "a failed sync passes for one that worked",
        WRITER,
        "        if self._running:\n            await self._store.sync()\n",
        "        if self._running:\n            await self._store.sync().addErrback(lambda _: None)\n",
        "sync-error,power",
        nodes="3",
    ),
    Bug(
        "the log begins anew before the snapshot that it goes on from is there",
        WRITER,
        "        await self._with_space(self._store.put_snapshot, snapshot)\n"
        "        if self._running:\n"
        "            await self._with_space(self._store.begin_anew, snapshot.index, ready.hard_state, ready.entries)\n",
        "        self._store.snapshot_index = snapshot.index\n"
        "        await self._with_space(self._store.begin_anew, snapshot.index, ready.hard_state, ready.entries)\n"
        "        if self._running:\n"
        "            await self._with_space(self._store.put_snapshot, snapshot)\n",
        "kill,power,wipe,cut,relapse",
        seed=106,
        nodes="3",
    ),
    Bug(
        "half of a record stays behind where the disk is full",
        STORE,
        "            self._opened().records.rewind(len(parts))\n"
        "            self._file.truncate(self._end)",
        "            self._end = self._file.size()",
        "full-disk,kill",
        nodes="3",
    ),
    Bug(
        "a start goes on behind a torn tail, without writing the log anew",
        STORE,
        "        self._disk.replace_file(self.log_path, log.whole())\n        self._open(log)\n",
        "        log.whole()\n        self._open(log)\n",
        "power,kill",
        nodes="3",
    ),
    Bug(
        "a leader serves before it has applied what was committed before its term",
        REPLICA,
        "        if node.is_leader and self.applied.term != node.term:\n",
        "        if node.is_leader and node.term == 0:\n",
        "kill,transfer,cut",
        nodes="3",
    ),
    Bug(
        "a snapshot of the leader's is kept and not applied",
        REPLICA,
        "                    self.applied.restore(ready.snapshot)\n",
        "",
        "cut,wipe,kill",
        nodes="3",
    ),
    Bug(
        "nobody hears that members have come or gone",
        REPLICA,
        "        if self._messenger is not None and node.configuration is not self._known:\n",
        "        if self._messenger is not None and self._known is None:\n",
        "kill",
        seed=10,
        nodes="3",
    ),
    Bug(
        "what may yet take effect is reported as dropped",
        WAITING,
        "            waiting.told.errback(_unknown(\"another node leads\"))\n",
        "            waiting.told.errback(Refused(ErrorCode.NOT_CONTROLLER, \"another node leads\"))\n",
        "cut,one-way,stall,stuck-disk",
        seed=40,
        nodes="3",
        pace_s=0.1,
    ),
    Bug(
        "what was dropped is reported as done",
        WAITING,
        "told.errback(Refused(ErrorCode.NOT_CONTROLLER, \"another node leads, and",
        "told.callback((ErrorCode.NOT_CONTROLLER, \"another node leads, and",
        "cut,one-way,stall,stuck-disk",
        nodes="3",
        pace_s=0.1,
    ),
    Bug(
        "reading does not wait until what is committed has been applied",
        WAITING,
        "        safe = [read for read in self._answered if read.index is not None and read.index <= index]\n"
        "        self._answered = [read for read in self._answered if read.index is not None and read.index > index]\n",
        "        safe, self._answered = self._answered, []\n",
        "stuck-disk,slow-disk,cut",
        nodes="3",
        pace_s=0.1,
    ),
    Bug(
        "a disk that was replaced passes for the one that was lost",
        "streamline/cluster/joining.py",
        "    if known.directory_id != directory_id:\n",
        "    if known.directory_id == b\"\":\n",
        "wipe",
        seed=12,
        nodes="3",
    ),
    Bug(
        "a node that sees no cluster founds one of its own",
        "streamline/cluster/forming.py",
        "        return self._cluster() or self._complaint() or self._founding()\n",
        "        return self._cluster() or Found((self._me,))\n",
        "cut,split,one-way",
        nodes="3",
    ),
    Bug(
        "a snapshot forgets who is fenced",
        "streamline/cluster/snapshot.py",
        "        fenced=broker.fenced,\n        shutting_down=broker.shutting_down,\n",
        "        fenced=False,\n        shutting_down=broker.shutting_down,\n",
        "kill,cut",
        nodes="3",
    ),
)
