"""
The walls of the house: what a node asks of the world, and what a plugin can replace.

Two groups.  The *four doors* (L{IClock}, L{IDisk}, L{INetwork}, L{IRandom}) are
all that a node knows of the world outside; the simulator gives its own.  The
*plugin points* are chosen by name when a node starts; each has a contract suite
in C{streamline.testing.contracts} that says by running what its docstrings say
in words.  A plugin is made as C{maker(host, config, **options)}: a L{Host}, the node's
L{streamline.config.NodeConfig}, and the C{key=value} options of C{name:key=value} as text.

An interface call has happened when it returns.  Where it must wait, it returns
a L{Deferred}; nothing returns a bare coroutine.
"""

from streamline.interfaces.consensus import IConsensus, IInbox, IMessenger, IQuorum, IStateMachine
from streamline.interfaces.doors import Host, IClock, IDisk, IFile, INetwork, IRandom, Whim, fires
from streamline.interfaces.replication import (
    IAcksPolicy,
    ICluster,
    IFollowing,
    ILeadership,
    IPlacement,
    IReplica,
    IReplicator,
)
from streamline.interfaces.serving import IAuthenticator, IAuthorizer, IReplicaSelector
from streamline.interfaces.storage import IKeepsLater, ILendsRecords, IPartitionLog, IStorage, ITakesRuns

__all__ = [
    "Host",
    "IAcksPolicy",
    "IAuthenticator",
    "IAuthorizer",
    "IClock",
    "ICluster",
    "IConsensus",
    "IDisk",
    "IFile",
    "IFollowing",
    "IInbox",
    "IKeepsLater",
    "ILeadership",
    "ILendsRecords",
    "IMessenger",
    "INetwork",
    "IPartitionLog",
    "IPlacement",
    "IQuorum",
    "IRandom",
    "IReplica",
    "IReplicaSelector",
    "IReplicator",
    "IStateMachine",
    "IStorage",
    "ITakesRuns",
    "Whim",
    "fires",
]
