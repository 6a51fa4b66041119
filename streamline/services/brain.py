"""
A node's part in the cluster's brain: being the controller where it leads, and knowing who is it elsewhere.
"""

from __future__ import annotations

from streamline.config import NodeConfig
from streamline.interfaces import Host
from streamline.services.balancing import Balancing
from streamline.services.controller_line import ControllerLine
from streamline.services.controllership import Controllership
from streamline.services.membership import Membership
from streamline.services.metadata import Metadata
from streamline.services.moving import Moving
from streamline.services.peers import Peers
from streamline.services.pushing import Pushing


class Brain:
    """
    These belong together, and are made before anything that asks the controller for something.

    @ivar controllership: decides, where this node is the controller.
    @ivar membership: knows the brokers there.
    @ivar balancing: has them led by whom they prefer.
    @ivar moving: says what moves there.
    @ivar pushing: hurries what was decided to those whom it concerns.
    @ivar line: leads to the controller from everywhere else.
    """

    def __init__(self, host: Host, config: NodeConfig, metadata: Metadata, peers: Peers | None) -> None:
        """
        @param peers: the connections to other nodes; None where this node takes none.
        """
        self.controllership = Controllership(host, config.node_id, metadata)
        self.membership = Membership(host, config, metadata, self.controllership, peers)
        self.balancing = Balancing(host, config, self.controllership)
        self.moving = Moving(metadata, self.controllership)
        self.pushing = Pushing(host, config.node_id, metadata, self.controllership, peers)
        self.line = ControllerLine(host.clock, config.node_id, metadata.consensus, peers)
