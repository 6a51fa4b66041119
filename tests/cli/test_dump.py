"""C{streamline metadata dump}: what a directory says, and a sentence where it says nothing."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.cli.main import main
from streamline.cluster.commands import AllocateProducerIds, FoundCluster, dump
from streamline.cluster.image import MetadataImage
from streamline.cluster.snapshot import dump_image
from streamline.services.commandlog import ENTRIES_NAME, Entry, encode_entry, encode_mark
from streamline.services.commandlog import SNAPSHOT_NAME as SINGLE_SNAPSHOT
from streamline.services.data_directory import META_NAME, METADATA_NAME, Meta
from streamline.services.raftstore import LOG_NAME, SNAPSHOT_NAME
from streamline.testing import Cluster
from streamline.wire.crc import crc32c
from tests.testing.cluster_case import create

TOPIC = "orders"


class DumpCase(SynchronousTestCase):
    """Runs the command here."""

    def setUp(self) -> None:
        """Have a place for data."""
        place = TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.home = Path(place.name)

    def dump(self, *arguments: str) -> tuple[object, str, str]:
        """Run it; return its status, what it printed, and what it complained of."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), self.assertRaises(SystemExit) as ended:
            main(("metadata", "dump", *arguments))
        return ended.exception.code, out.getvalue(), err.getvalue()

    def content(self, directory: Path) -> dict[str, Any]:
        """Return what is there, as a program sees it."""
        status, out, err = self.dump(str(directory), "--json")
        self.assertEqual((status, err), (0, ""))
        content: dict[str, Any] = json.loads(out)
        return content

    def refusal(self, directory: Path) -> str:
        """Expect a complaint of one line; return it."""
        status, out, err = self.dump(str(directory))
        self.assertEqual((status, out, err.count("\n")), (1, "", 1))
        return err


class ClusterTests(DumpCase):
    """Directories of nodes that agree by Raft."""

    def test_running_and_stopped(self) -> None:
        """Nodes say the same of the cluster, whether they run or not, and for people as well as for programs."""
        with Cluster(3, data_dir=self.home) as cluster:
            create(cluster, TOPIC, partitions=2, replicas=3)
            cluster.wait_isr(TOPIC, 1)
            leader = cluster.leader(TOPIC, 1)
            directories = [node.data_dir for node in cluster.nodes]
            content = self.content(directories[cluster.controller() - 1])
            address = str(cluster.nodes[0].address)
        [topic] = [one for one in content["topics"] if one["name"] == TOPIC]
        self.assertEqual([one["partition"] for one in topic["partitions"]], [0, 1])
        self.assertEqual(topic["partitions"][1]["leader"], leader)
        self.assertEqual(sorted(topic["partitions"][1]["isr"]), [1, 2, 3])
        self.assertEqual([one["node_id"] for one in content["brokers"]], [1, 2, 3])
        self.assertEqual({one["state"] for one in content["brokers"]}, {"active"})
        self.assertEqual(sorted(one["node_id"] for one in content["quorum"]["voters"]), [1, 2, 3])
        self.assertEqual(content["broker_configs"]["all brokers"]["min.insync.replicas"], "2")
        stopped = [self.content(directory) for directory in directories]
        self.assertEqual([one["written_by"]["node_id"] for one in stopped], [1, 2, 3])
        self.assertEqual({one["cluster_id"] for one in stopped}, {content["cluster_id"]})
        _, page, _ = self.dump(str(directories[0]))
        self.assertIn(f"Cluster {content['cluster_id']}\n", page)
        self.assertIn(f"  node 1 at {address}, for nodes ", page)
        self.assertRegex(page, rf"\n  {TOPIC}, id \S+\n    0: led by \S+.*, replicas \d,\d,\d, isr ")

    def test_damaged(self) -> None:
        """It says what is wrong, as the node itself would."""
        with Cluster(1, data_dir=self.home) as cluster:
            [directory] = [node.data_dir for node in cluster.nodes]
        log = directory / METADATA_NAME / LOG_NAME
        whole = log.read_bytes()
        log.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
        self.assertIn("is damaged at byte 0", self.refusal(directory))
        log.write_bytes(whole)
        (directory / METADATA_NAME / SNAPSHOT_NAME).write_bytes(b"nonsense")
        self.assertIn(f"{SNAPSHOT_NAME} is damaged", self.refusal(directory))

    def test_snapshot_and_log(self) -> None:
        """Both together are what there is, also where the log begins behind the snapshot."""
        with Cluster(1, data_dir=self.home, consensus="raft:snapshot_entries=3") as cluster:
            for number in range(8):
                create(cluster, f"{TOPIC}-{number}", partitions=1, replicas=1)
            [directory] = [node.data_dir for node in cluster.nodes]
        content = self.content(directory)
        self.assertGreater(content["quorum"]["snapshot_index"], 0)
        self.assertEqual([one["name"] for one in content["topics"]], [f"{TOPIC}-{number}" for number in range(8)])


class OtherDirectoryTests(DumpCase):
    """Directories of a node alone, and of nobody."""

    def test_single(self) -> None:
        """With consensus C{single} there is no quorum to tell of."""
        (self.home / META_NAME).write_bytes(Meta(node_id=4, directory_id="A" * 22, cluster_id="c").encode())
        metadata = self.home / METADATA_NAME
        metadata.mkdir()
        body = (7).to_bytes(8, "big") + dump_image(MetadataImage(index=7, cluster_id="c", next_producer_id=5))
        (metadata / SINGLE_SNAPSHOT).write_bytes(crc32c(body).to_bytes(4, "big") + body)
        more, twice = AllocateProducerIds(node_id=4, broker_epoch=-1, count=10), FoundCluster(cluster_id="d")
        entries = [Entry(8, dump(more), 7), Entry(9, dump(twice), 8)]
        (metadata / ENTRIES_NAME).write_bytes(encode_mark(7) + b"".join(map(encode_entry, entries)))
        content = self.content(self.home)
        self.assertEqual((content["cluster_id"], content["next_producer_id"]), ("c", 15))
        quorum = content["quorum"]
        self.assertEqual((quorum["term"], quorum["snapshot_index"], quorum["last_index"]), (1, 7, 9))
        self.assertEqual((quorum["voters"], quorum["observers"]), ([], []))

    def test_nothing_to_read(self) -> None:
        """One sentence says why."""
        self.assertIn("is not a directory", self.refusal(self.home / "nowhere"))
        self.assertIn("is no node's data directory: it has no meta.properties", self.refusal(self.home))
        (self.home / META_NAME).write_text("version=7\n")
        self.assertIn("is of version 7, not 1", self.refusal(self.home))
        (self.home / META_NAME).write_text("version=1\nnode.id=4\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\n")
        self.assertIn("was never in a cluster", self.refusal(self.home))
