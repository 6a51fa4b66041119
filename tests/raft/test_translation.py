"""What replicas say to each other is the same at both ends of a connection."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ProtocolError
from streamline.raft import messages as core
from streamline.raft import translation
from streamline.raft.configuration import Configuration, Replica, ReplicaKey
from streamline.values import fields
from streamline.wire.codec import decode
from streamline.wire.messages import peer_raft as peer

NUMBERS = st.integers(0, 1 << 62)
BYTES = st.binary(max_size=40)
KEYS = st.builds(ReplicaKey, st.integers(0, 1 << 30), st.binary(min_size=16, max_size=16))
REPLICAS = st.lists(st.builds(Replica, KEYS, st.text(max_size=20)), max_size=3).map(tuple)
BY_TYPE = {
    "int": NUMBERS,
    "bool": st.booleans(),
    "bytes": BYTES,
    "ReplicaKey": KEYS,
    "Configuration": st.builds(Configuration, REPLICAS, REPLICAS, REPLICAS),
    "tuple[Entry, ...]": st.lists(
        st.builds(core.Entry, NUMBERS, NUMBERS, st.sampled_from(core.EntryKind), BYTES), max_size=4
    ).map(tuple),
}
CLASSES = core.Message.__args__
MESSAGES = st.one_of(
    *(
        st.builds(cls, **{field.name: BY_TYPE[str(field.type)] for field in fields(cls)})
        for cls in CLASSES
    )
)
KEY = peer.ReplicaKey(node_id=1, directory_id=bytes(16))


class TranslationTests(SynchronousTestCase):
    """Every message of the core arrives as it was sent, under a key of its own."""

    @given(MESSAGES)
    def test_there_and_back(self, message: core.Message) -> None:
        body = b"".join(map(bytes, translation.write(message)))
        read = decode(peer.ONE_WAY[translation.key_of(message)], translation.VERSION, body)
        self.assertEqual(translation.understand(read), message)

    def test_each_has_a_key(self) -> None:
        self.assertEqual(len(CLASSES), len(peer.ONE_WAY))

    def test_an_entry_of_no_kind(self) -> None:
        """An entry whose kind the core does not know is no reason to stop: its sender is broken."""
        entry = peer.Entry(index=1, term=1, kind=9, payload=b"")
        said = peer.RaftAppendRequest(sender=KEY, to=KEY, entries=[entry])
        self.assertRaises(ProtocolError, translation.understand, said)
