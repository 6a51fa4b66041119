"""The tables of the classic group's states, and the page that shows them."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from streamline.groups.states import (
    COMMIT_ANSWERS,
    HEARTBEAT_ANSWERS,
    SYNC_ANSWERS,
    TRANSITIONS,
    Cause,
    GroupState,
)

PAGE = Path(__file__).parents[2] / "docs" / "states" / "classic_group.md"


def table(heading: str) -> list[tuple[str, ...]]:
    """Return the rows of the first table under a heading of the page."""
    section = PAGE.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in rows]


class StateTests(SynchronousTestCase):
    """The page and the code say the same, and the table is whole."""

    def test_page_shows_every_transition(self) -> None:
        shown = {(state, cause): target for state, cause, target in table("Transitions")}
        known = {(state.value, cause.value): target.value for (state, cause), target in TRANSITIONS.items()}
        self.assertEqual(shown, known)

    def test_page_shows_every_answer(self) -> None:
        def known(state: GroupState) -> tuple[str, str, str, str]:
            sync = SYNC_ANSWERS[state]
            return (
                state.value,
                HEARTBEAT_ANSWERS[state].name,
                "waits" if sync is None else sync.name,
                COMMIT_ANSWERS[state].name,
            )

        shown = table("What a member of the current generation hears")
        self.assertEqual(shown, [known(state) for state in GroupState])

    def test_every_state_but_the_last_can_end(self) -> None:
        ending = {state for state, cause in TRANSITIONS if cause is Cause.GROUP_REMOVED}
        self.assertEqual(ending, set(GroupState) - {GroupState.DEAD})

    def test_nothing_leaves_dead(self) -> None:
        self.assertNotIn(GroupState.DEAD, [state for state, _ in TRANSITIONS])
