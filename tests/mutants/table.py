"""All mutants, by area."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.mutants import (
    asking,
    brokers,
    carried,
    cluster,
    groups,
    hostile,
    idempotence,
    insync,
    lessons,
    lone,
    metadata,
    moves,
    peers,
    pushing,
    quorum,
    recovery,
    relaying,
    replication,
    storage,
)
from tests.mutants.mutant import Mutant

AREAS: Mapping[str, Sequence[Mutant]] = {
    "recovery": recovery.MUTANTS,
    "storage": storage.MUTANTS,
    "idempotence": idempotence.MUTANTS,
    "groups": groups.MUTANTS,
    "metadata": metadata.MUTANTS,
    "quorum": quorum.MUTANTS,
    "cluster": cluster.MUTANTS,
    "brokers": brokers.MUTANTS,
    "peers": peers.MUTANTS,
    "asking": asking.MUTANTS,
    "pushing": pushing.MUTANTS,
    "relaying": relaying.MUTANTS,
    "replication": replication.MUTANTS,
    "insync": insync.MUTANTS,
    "carried": carried.MUTANTS,
    "moves": moves.MUTANTS,
    "lone": lone.MUTANTS,
    "lessons": lessons.MUTANTS,
    "hostile": hostile.MUTANTS,
}
