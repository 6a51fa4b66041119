"""
Real nodes for tests and demonstrations: in this process, or in processes of their own.

L{streamline.testing.cluster} is what people use.  Here is what it is made of: addresses that stay (C{ports}), what each
node is told (C{plans}), reactors that can be held, silenced and ended (C{reactors}, C{turning}), the doors of a node
that can die (C{doors}), the links between nodes (C{links}), and the two ways to run them (C{inner}, C{outer}).
"""
