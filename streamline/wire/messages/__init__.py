"""
Every message, by api key.

A message that is listed here can be read and written; whether a node answers it
is for the api table to say.  A family's module is imported when one of its
messages is first asked for: making two hundred classes takes longer than
starting the rest of a node, and a node needs a third of them.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final, Literal

from streamline.wire.schema import Message

_APIS: Final[dict[int, tuple[str, str]]] = {
    0: ("produce", "Produce"),
    1: ("fetch", "Fetch"),
    2: ("list_offsets", "ListOffsets"),
    3: ("metadata", "Metadata"),
    4: ("peer_pushes", "LeaderAndIsr"),
    5: ("peer_pushes", "StopReplica"),
    6: ("peer_pushes", "UpdateMetadata"),
    7: ("peer_pushes", "ControlledShutdown"),
    8: ("offsets", "OffsetCommit"),
    9: ("offsets", "OffsetFetch"),
    10: ("coordinator", "FindCoordinator"),
    11: ("groups", "JoinGroup"),
    12: ("groups", "Heartbeat"),
    13: ("groups", "LeaveGroup"),
    14: ("groups", "SyncGroup"),
    15: ("groups", "DescribeGroups"),
    16: ("groups", "ListGroups"),
    17: ("sasl", "SaslHandshake"),
    18: ("api_versions", "ApiVersions"),
    19: ("topics", "CreateTopics"),
    20: ("topics", "DeleteTopics"),
    21: ("topics", "DeleteRecords"),
    22: ("producer_ids", "InitProducerId"),
    23: ("leader_epoch", "OffsetForLeaderEpoch"),
    24: ("transactions", "AddPartitionsToTxn"),
    25: ("transactions", "AddOffsetsToTxn"),
    26: ("transactions", "EndTxn"),
    27: ("transactions", "WriteTxnMarkers"),
    28: ("transactions", "TxnOffsetCommit"),
    29: ("acls", "DescribeAcls"),
    30: ("acls", "CreateAcls"),
    31: ("acls", "DeleteAcls"),
    32: ("configs", "DescribeConfigs"),
    33: ("configs", "AlterConfigs"),
    35: ("log_dirs", "DescribeLogDirs"),
    36: ("sasl", "SaslAuthenticate"),
    37: ("topics", "CreatePartitions"),
    42: ("groups", "DeleteGroups"),
    43: ("reassignment", "ElectLeaders"),
    44: ("configs", "IncrementalAlterConfigs"),
    45: ("reassignment", "AlterPartitionReassignments"),
    46: ("reassignment", "ListPartitionReassignments"),
    47: ("offsets", "OffsetDelete"),
    48: ("quotas", "DescribeClientQuotas"),
    49: ("quotas", "AlterClientQuotas"),
    50: ("scram", "DescribeUserScramCredentials"),
    51: ("scram", "AlterUserScramCredentials"),
    55: ("quorum", "DescribeQuorum"),
    56: ("peer", "AlterPartition"),
    57: ("cluster", "UpdateFeatures"),
    58: ("peer", "Envelope"),
    60: ("cluster", "DescribeCluster"),
    61: ("producer_ids", "DescribeProducers"),
    62: ("peer", "BrokerRegistration"),
    63: ("peer", "BrokerHeartbeat"),
    64: ("cluster", "UnregisterBroker"),
    65: ("transactions", "DescribeTransactions"),
    66: ("transactions", "ListTransactions"),
    67: ("producer_ids", "AllocateProducerIds"),
    68: ("consumer_groups", "ConsumerGroupHeartbeat"),
    69: ("consumer_groups", "ConsumerGroupDescribe"),
    74: ("configs", "ListConfigResources"),
    75: ("metadata", "DescribeTopicPartitions"),
    80: ("quorum", "AddRaftVoter"),
    81: ("quorum", "RemoveRaftVoter"),
}
"""The module and the name of each API."""

PEERS_ONLY: Final = (4, 5, 6, 7, 56, 58, 62, 63, 67)
"""APIs that nodes use among themselves: a listener for clients has never heard of them."""

CONTROLLERS_ONLY: Final = (19, 20, 30, 31, 37, 43, 45, 46, 49, 51, 55, 57, 64, 80, 81)
"""APIs of clients that the controller answers; any other node passes them on to it in an Envelope."""


class Messages(Mapping[int, type[Message]]):
    """The requests, or the responses, of all APIs."""

    def __init__(self, kind: Literal["Request", "Response"]) -> None:
        self._kind = kind
        self._known: dict[int, type[Message]] = {}

    def __getitem__(self, key: int) -> type[Message]:
        known = self._known.get(key)
        if known is None:
            family, name = _APIS[key]
            known = getattr(import_module(f"{__name__}.{family}"), name + self._kind)
            self._known[key] = known
        return known

    def __iter__(self) -> Iterator[int]:
        return iter(_APIS)

    def __len__(self) -> int:
        return len(_APIS)


REQUESTS: Final = Messages("Request")
RESPONSES: Final = Messages("Response")
