"""Asks a node one thing and hangs up: for whoever is no peer yet."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionRefusedError
from twisted.internet.protocol import Factory

from streamline.cluster.greeting import Identity, judge_answer
from streamline.errors import ProtocolError
from streamline.interfaces import Host
from streamline.model import ZERO_UUID, Endpoint
from streamline.raft import ReplicaKey
from streamline.raft.translation import key_said
from streamline.services.deadlines import Deadlines
from streamline.services.peer_call import NoAnswer, PeerCall
from streamline.services.peer_link import client_id, greeting
from streamline.wire.messages.cluster import DescribeClusterRequest, DescribeClusterResponse
from streamline.wire.messages.peer_raft import GreetingResponse
from streamline.wire.schema import Message

R = TypeVar("R", bound=Message)

CONTROLLERS = 2
"""The endpoint type of DescribeCluster that asks for cluster listeners (KIP-919)."""
DESCRIBE_VERSION = 1
"""Its first version with endpoint types."""
ANSWER_S = 1.0
"""How long connecting may take, and then each answer."""
ANYBODY = ReplicaKey(-1, ZERO_UUID)
JOINED_S = 5.0
"""How long an answer may take that others have to agree on first."""


async def describe(host: Host, identity: Identity, seed: Endpoint) -> DescribeClusterResponse:
    """
    Ask a node's Kafka listener where the controllers are.

    @raise NoAnswer: with the end of a sentence that begins with the seed's name.
    """
    call = await _connect(host, identity, seed)
    try:
        request = DescribeClusterRequest(endpoint_type=CONTROLLERS)
        return await _answer(call.ask(request, DescribeClusterResponse, ANSWER_S, DESCRIBE_VERSION))
    finally:
        call.drop()


async def ask(
    host: Host, identity: Identity, address: Endpoint, to: ReplicaKey, request: Message, response: type[R]
) -> R:
    """
    Greet the node whose cluster listener is there, and ask it something.

    @param to: who it is; L{ANYBODY}, or zeros for the directory, where that is not known.
    @raise NoAnswer: with the end of a sentence that begins with its name.
    """
    call = await _connect(host, identity, address)
    try:
        said = await _answer(call.ask(greeting(identity, to), GreetingResponse, ANSWER_S))
        refusal = judge_answer(identity, key_said(to), said)
        if refusal is not None:
            raise NoAnswer(f"does not talk to this node: {refusal.message}")
        call.trust()
        return await _answer(call.ask(request, response, JOINED_S))
    finally:
        call.drop()


async def _connect(host: Host, identity: Identity, address: Endpoint) -> PeerCall:
    deadlines = Deadlines(host.clock)
    call = PeerCall(deadlines, client_id(identity), lambda _: None, lambda _: None, lambda _, __: deadlines.stop())
    try:
        await host.network.connect(address.host, address.port, _quiet(call), ANSWER_S)
    except ConnectionRefusedError:
        raise NoAnswer("does not answer") from None
    except (ConnectError, OSError) as error:
        raise NoAnswer(f"cannot be reached ({type(error).__name__})") from None
    return call


def _quiet(call: PeerCall) -> Factory[PeerCall]:
    factory = Factory.forProtocol(lambda: call)
    factory.noisy = False
    return factory


async def _answer(answer: Deferred[R]) -> R:
    try:
        return await answer
    except NoAnswer:
        raise NoAnswer("does not answer") from None
    except ProtocolError as error:
        raise NoAnswer(f"does not speak as a node does ({error})") from None
