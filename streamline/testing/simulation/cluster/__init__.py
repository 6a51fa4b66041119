"""
Level 2 with several nodes: whole nodes that form a cluster over bytes, with real persistence on simulated disks.

What must hold is what level 1 checks (L{streamline.testing.simulation.cores.monitor}), by what the disks hold and what
the nodes want done; and that whatever a client was told of the metadata is what everybody agreed on.
"""
