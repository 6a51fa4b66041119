"""A Kafka-compatible streaming broker and cluster in Python on Twisted."""
