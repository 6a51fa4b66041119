"""What Streamline brings along for each of its plugin points."""

from streamline.interfaces import IAcksPolicy, IConsensus, IPlacement, IReplicator, IStorage
from streamline.plugins import Backend

segments = Backend(IStorage, "segments", "Kafka's own files on disk.", "streamline.storage.segments.SegmentStorage")
memory = Backend(IStorage, "memory", "In memory; gone when the node stops.", "streamline.storage.memory.MemoryStorage")

single = Backend(IConsensus, "single", "A cluster of one node.", "streamline.services.single.SingleConsensus")
raft = Backend(IConsensus, "raft", "Agreement of several nodes.", "streamline.services.raft.RaftConsensus")

isr = Backend(IReplicator, "isr", "Kafka's in-sync replicas.", "streamline.services.replication.IsrReplicator")

kafka = Backend(IAcksPolicy, "kafka", "0, 1 or all, with min.insync.replicas.", "streamline.replication.acks.KafkaAcks")

rack_spread = Backend(IPlacement, "rack_spread", "Even, racks apart.", "streamline.cluster.placement.RackSpread")
