"""Kafka's own producer beside the others, while nodes of a cluster are killed and cut off from each other."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from streamline.testing.chaos.cases import CASES
from streamline.testing.chaos.clients import WRITERS
from streamline.testing.chaos.java import LIBS
from streamline.testing.chaos.report import lines_of
from streamline.testing.chaos.trial import Trial, start_cluster
from streamline.testing.history import OK
from tests.clients.brokers import KAFKA_LIBS

pytestmark = [pytest.mark.slow, pytest.mark.tools]


@pytest.mark.parametrize("number", ["CH1", "CH8"])
def test_three_clients(number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has records acknowledged, and nothing that was is lost, doubled or moved."""
    monkeypatch.setenv(LIBS, str(KAFKA_LIBS))
    case = CASES[number]
    settings = case.settings(is_full=False)
    assert set(settings.clients) == set(WRITERS), "the jars are missing: run .ci/jvm"
    with start_cluster(data_dir=tmp_path, sync=False) as cluster:
        verdict = Trial(cluster, number.lower(), Random(number), settings).run(case.faults)
    assert verdict.wrong == [], "\n".join(lines_of(verdict, number))
    acked = {send.producer for send in verdict.history.sends if send.status == OK}
    assert acked == {f"{number.lower()}-{name}" for name in WRITERS}
