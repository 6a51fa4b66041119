"""Kafka's own producer beside the others, while nodes of a cluster are killed, held and cut off from each other."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from streamline.testing.chaos.cases import CALM_S, SILENT_S
from streamline.testing.chaos.clients import WRITERS
from streamline.testing.chaos.java import LIBS
from streamline.testing.chaos.report import lines_of
from streamline.testing.chaos.trial import Settings, Trial, start_cluster
from streamline.testing.history import OK
from tests.clients.brokers import KAFKA_LIBS

pytestmark = [pytest.mark.slow, pytest.mark.tools]

FAULTS = ("kill-leader", "isolate-leader", "pause-leader", "kill-all")


def test_three_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has records acknowledged, and nothing that was is lost, doubled or moved."""
    monkeypatch.setenv(LIBS, str(KAFKA_LIBS))
    settings = Settings(held_s=SILENT_S, calm_s=CALM_S)
    assert set(settings.clients) == set(WRITERS), "the jars are missing: run .ci/jvm"
    with start_cluster(data_dir=tmp_path, sync=False) as cluster:
        verdict = Trial(cluster, "java", Random("java"), settings).run(FAULTS)
    assert verdict.wrong == [], "\n".join(lines_of(verdict, "java"))
    unfinished = {send.producer for send in verdict.history.sends if send.status != OK}
    assert unfinished <= {"java-java"}, "only the tool may give up what is under way when it is told to end"
    acked = {send.producer for send in verdict.history.sends if send.status == OK}
    assert acked == {f"java-{name}" for name in WRITERS}
