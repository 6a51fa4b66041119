"""Floor 1: bytes to values and back, for the Kafka protocol and its record batches.

Nothing here touches a socket, a clock or a disk, and nothing here decides anything about the cluster.
"""
