"""
The options of C{twist streamline}, and how a node's settings come out of them.

C{declared} derives the options from L{streamline.config}, C{sources} gathers
what was given and where, C{settling} makes a L{streamline.config.NodeConfig} of
it, and C{command} is what C{twist} sees.
"""
