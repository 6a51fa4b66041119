"""What Streamline brings along for each of its plugin points."""

from streamline.interfaces import IAcksPolicy, IConsensus, IPlacement, IReplicaSelector, IReplicator, IStorage
from streamline.plugins import Backend

segments = Backend(IStorage, "segments", "Kafka's own files on disk.", "streamline.storage.segments.SegmentStorage")
memory = Backend(IStorage, "memory", "In memory; gone when the node stops.", "streamline.storage.memory.MemoryStorage")

single = Backend(IConsensus, "single", "A cluster of one node.", "streamline.services.single.SingleConsensus")
raft = Backend(IConsensus, "raft", "Agreement of several nodes.", "streamline.services.raft.RaftConsensus")

isr = Backend(IReplicator, "isr", "Kafka's in-sync replicas.", "streamline.services.replication.IsrReplicator")

kafka = Backend(IAcksPolicy, "kafka", "0, 1 or all, with min.insync.replicas.", "streamline.replication.acks.KafkaAcks")
strict = Backend(IAcksPolicy, "strict", "Everything waits for all in sync.", "streamline.replication.acks.StrictAcks")

rack_spread = Backend(IPlacement, "rack_spread", "Even, racks apart.", "streamline.cluster.placement.RackSpread")

rack = Backend(IReplicaSelector, "rack", "In the consumer's rack.", "streamline.replication.selecting.RackAware")
any_replica = Backend(IReplicaSelector, "any", "The same as rack.", "streamline.replication.selecting.RackAware")
leader = Backend(IReplicaSelector, "leader", "The leader alone.", "streamline.replication.selecting.LeaderOnly")
