"""What is done to a cluster, by name."""

from __future__ import annotations

from collections.abc import Mapping

from streamline.testing.chaos import links, members, nodes
from streamline.testing.chaos.scene import Fault, Scene, alone

FAULTS: Mapping[str, Fault] = {
    "add-one": members.add_one,
    "calm": nodes.calm,
    "flaky": links.slowing(links.RESETS_PER_S),
    "isolate-controller": links.parting(links.apart(Scene.controller)),
    "isolate-leader": links.parting(links.apart(Scene.leader)),
    "isolate-one": links.parting(links.apart(Scene.one)),
    "kill-all": nodes.killing(Scene.shuffled),
    "kill-controller": nodes.killing(alone(Scene.controller)),
    "kill-leader": nodes.killing(alone(Scene.leader)),
    "kill-majority": nodes.killing(Scene.majority),
    "kill-minority": nodes.killing(Scene.minority),
    "kill-one": nodes.killing(alone(Scene.one)),
    "one-way": links.one_way(Scene.one),
    "one-way-controller": links.one_way(Scene.controller),
    "one-way-leader": links.one_way(Scene.leader),
    "part-all": links.parting(links.each),
    "part-bridge": links.parting(links.bridge),
    "part-halves": links.parting(links.halves),
    "part-kill": links.part_kill,
    "part-ring": links.ring,
    "part-swap": links.part_swap,
    "pause-all": nodes.pausing(Scene.shuffled),
    "pause-controller": nodes.pausing(alone(Scene.controller)),
    "pause-kill": nodes.pause_kill,
    "pause-leader": nodes.pausing(alone(Scene.leader)),
    "pause-majority": nodes.pausing(Scene.majority),
    "pause-one": nodes.pausing(alone(Scene.one)),
    "replace-one": members.replace_one,
    "roll": nodes.roll,
    "slow": links.slowing(0.0),
}
"""By name."""
