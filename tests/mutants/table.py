"""All mutants, by area."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.mutants import groups, idempotence, lessons, metadata, replication, storage
from tests.mutants.mutant import Mutant

AREAS: Mapping[str, Sequence[Mutant]] = {
    "storage": storage.MUTANTS,
    "idempotence": idempotence.MUTANTS,
    "groups": groups.MUTANTS,
    "metadata": metadata.MUTANTS,
    "replication": replication.MUTANTS,
    "lessons": lessons.MUTANTS,
}
