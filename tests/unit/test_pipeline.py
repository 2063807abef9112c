"""Steps come in a checked order."""

import pytest

from turnline_schemas.errors import ConfigurationError
from turnline_workers.interaction.pipeline import Pack, Step, plan
from turnline_workers.interaction.state import TurnState


def same(turn: TurnState) -> TurnState:
    """Change nothing."""
    return turn


def names(*packs: Pack) -> list[str]:
    """Return the order that ``plan`` gives."""
    return [step.name for step in plan(packs)]


def test_a_step_runs_after_what_it_depends_on() -> None:
    pack = Pack("a", (Step("late", same, depends_on=("early",)), Step("early", same)))

    assert names(pack) == ["a.early", "a.late"]


def test_dependencies_cross_packs_by_full_name() -> None:
    core = Pack("core", (Step("input", same), Step("model", same, depends_on=("input",))))
    mine = Pack("mine", (Step("between", same, depends_on=("core.input",), priority=1),))

    assert names(core, mine) == ["core.input", "mine.between", "core.model"]


def test_among_steps_that_may_come_next_priority_decides_then_order_of_naming() -> None:
    pack = Pack("a", (Step("one", same), Step("two", same), Step("first", same, priority=5)))

    assert names(pack) == ["a.first", "a.one", "a.two"]


def test_a_later_pack_replaces_an_earlier_one_of_the_same_name() -> None:
    assert names(Pack("a", (Step("old", same),)), Pack("a", (Step("new", same),))) == ["a.new"]


def test_a_circle_is_named_when_the_plan_is_made() -> None:
    pack = Pack("a", (Step("x", same, depends_on=("y",)), Step("y", same, depends_on=("x",))))

    with pytest.raises(ConfigurationError, match=r"a\.x -> a\.y|a\.y -> a\.x"):
        plan([pack])


def test_an_unknown_dependency_is_named_when_the_plan_is_made() -> None:
    with pytest.raises(ConfigurationError, match=r"'a\.x' depends on 'b\.z', which no pack has"):
        plan([Pack("a", (Step("x", same, depends_on=("b.z",)),))])
