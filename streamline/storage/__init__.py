"""Where partitions' bytes live: Kafka's segments on a disk, or memory."""
