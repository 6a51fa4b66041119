"""A Kafka-compatible streaming broker and cluster in Python on Twisted."""

__version__ = "0.1.0"
