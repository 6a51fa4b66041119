"""
Level 1: consensus cores that exchange objects in a seeded world, without bytes, disks or reactors of their own.

Everything that a core asks for is done as badly as it may be: writes take long and are lost,
messages are lost, doubled, late and out of order, clocks drift, processes stop and start,
disks are replaced, members change.  After every event the invariants of reliability 3.1 are checked,
and at the end, with everything mended, the cluster has to find together again.
"""
