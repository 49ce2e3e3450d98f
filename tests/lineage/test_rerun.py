"""Which steps run again, in which order, and which must not."""

from graphlib import CycleError, TopologicalSorter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lineage.scripts import Script, lineage

from ipysession.lineage.rerun import plan_rerun
from ipysession.lineage.stale import newest_runs, stale_steps


def again(script, *asked, **options):
    """The steps that run again, in order."""
    return [*plan_rerun(script.graph(), dict.fromkeys(asked, "asked for"), **options).steps]


def stale_again(script, changed=None, **options):
    """The same for all that is stale."""
    graph = script.graph()
    asked = dict.fromkeys(stale_steps(graph, changed), "stale")
    return [*plan_rerun(graph, asked, follow=True, **options).steps]


def test_a_step_runs_alone_where_what_it_needs_is_there():
    """What is current need not run again."""
    script = Script().step(["raw"]).step(["clean"], ["raw"]).step(["plot"], ["clean"])
    assert again(script, 3) == [3]
    assert again(script, 2) == [2]
    assert again(script, 3, 1) == [1, 2, 3], "what lies between them rests on the first"


def test_what_a_step_needs_runs_again_where_it_is_no_longer_there():
    """`df` was made twice; then the later one is made again, so that it is what it was."""
    script = Script().step(["df"]).step(["mean"], ["df"]).step(["df"]).step(["other"], ["df"])
    assert again(script, 2) == [1, 2, 3]
    assert again(script, 4) == [4]
    assert again(script, 1) == [1], "what was asked for stays as it leaves it"
    assert stale_again(script, {1: ["a.csv"]}) == [1, 2, 3, 4]


def test_a_change_in_place_runs_on_a_value_made_anew():
    """Not a second time on the old one; and what was added later is added again."""
    script = Script().step(["items"]).changes("items").step(["noise"]).changes("items")
    assert again(script, 4) == [1, 2, 4]
    assert again(script, 2) == [1, 2]
    assert stale_again(script, {2: ["a.csv"]}) == [1, 2, 4]


def test_a_counter_that_ran_three_times_is_counted_up_three_times():
    """Earlier executions of the step's own cell stand for themselves."""
    script = Script().step(["n"], cell="zero")
    for _ in range(3):
        script.step(["n"], ["n"], cell="up")
    assert again(script, 4) == [1, 2, 3, 4]


def test_an_edited_cell_stands_in_the_place_of_its_earlier_execution():
    """Its new version is there already: only what rests on it runs again."""
    script = Script().step(["x"], cell="a").step(["y"], ["x"], cell="b").step(["x"], cell="a")
    assert stale_again(script) == [2]
    assert again(script, 2) == [2]
    assert again(script, 1, 2) == [1, 2], "asked for by its number, the old text runs"


def test_two_edited_cells_that_make_one_name_run_in_their_places():
    """A makes df, B uses it, C makes df again, D uses that; then A and C are edited and run."""
    script = (
        Script()
        .step(["df"], cell="a").step(["mean"], ["df"], cell="b")
        .step(["df"], cell="c").step(["other"], ["df"], cell="d")
        .step(["df"], cell="a").step(["df"], cell="c")
    )  # fmt: skip
    assert stale_again(script) == [5, 2, 6, 4]


def test_cells_that_rest_on_one_another_run_as_they_ran():
    """There is no right order; but an end."""
    script = (
        Script()
        .step(["x"], cell="a").step(["y"], ["x"], cell="b").step(["x"], ["y"], cell="a")
    )  # fmt: skip
    assert sorted(stale_again(script)) == [2, 3]


def test_a_part_is_put_into_what_is_there():
    """`df['b'] = …` does not make all of df again."""
    script = Script().step(["df"])
    script.step(lineage=lineage(["raw"], (), ["df['b']", "df[*]"]))
    script.step(lineage=lineage(["df['b']"], ["mean"]))
    script.step(lineage=lineage([], (), ["df['c']", "df[*]"]))
    assert again(script, 2) == [2]
    assert again(script, 3) == [3]
    assert stale_again(script, {2: ["a.csv"]}) == [2, 3]
    script.step(lineage=lineage(["df['b']"], ["late"]))
    assert stale_again(script, {1: ["a.csv"]}) == [1, 2, 3, 4, 5], "in the order of the cells"


def test_a_name_that_was_deleted_since_is_made_and_deleted_again():
    """So that nothing is there that was not."""
    script = Script().step(["x"]).step(["y"], ["x"]).step(deleted=["x"])
    assert again(script, 2) == [1, 2, 3]


def test_recorded_random_states_are_set_where_no_earlier_draw_runs_again():
    """A draw does not bring all draws before it along."""
    script = Script().step(["x"], lineage=lineage([], ["x", "random:numpy"]))
    for name in "abc":
        script.step([name], lineage=lineage(["random:numpy"], [name], ["random:numpy"]))
    plan = plan_rerun(script.graph(), {3: "asked for"})
    assert [*plan.steps] == [3]
    assert plan.random[3] == {"random:numpy"}
    plan = plan_rerun(script.graph(), {2: "asked for", 3: "asked for"})
    assert [*plan.steps] == [2, 3]
    assert plan.random[3] == set()


def test_what_rests_on_a_barred_step_is_held_back_with_the_reason():
    """And what would have to be mended by one."""
    script = Script().step(["x"]).step(["y"], ["x"]).step(["z"], ["y"]).step(["w"])
    plan = plan_rerun(script.graph(), dict.fromkeys([1, 2, 3, 4], "stale"), barred=[2])
    assert [*plan.steps] == [1, 4]
    assert plan.held_back == {3: "it needs step 2"}
    script = Script().step(["df"]).step(["mean"], ["df"]).step(["df"])
    plan = plan_rerun(script.graph(), {2: "asked for"}, barred=[3])
    assert plan.steps == {}
    assert plan.held_back == {1: "step 3 would have to follow it", 2: "it needs step 1"}


def test_a_step_off_the_branch_cannot_run_again():
    """It stands in another state."""
    script = Script().step(["x"]).step(["x"], parent=1).step([], ["x"], parent=1)
    with pytest.raises(LookupError, match="step 2 is not on this branch"):
        again(script, 2)


NAMES = st.sampled_from("abc")
CELLS = st.tuples(st.sets(NAMES, max_size=2), st.sets(NAMES, max_size=2), st.booleans())


def play(numbers, facts, values):
    """What steps make of ``values``: each value says which step made it of what."""
    for number in numbers:
        cell, reads, writes, in_place = facts[number]
        used = tuple(values.get(name) for name in sorted(reads | (writes if in_place else set())))
        for name in writes:
            values[name] = (cell, name, used)
    return values


@given(st.lists(CELLS, min_size=1, max_size=12), st.data())
def test_asked_for_all_at_once_a_session_without_edits_makes_all_again(steps, data):
    """Whatever the steps did: what runs again leaves every name as the whole session left it."""
    script, facts, bound = Script(), {}, set()
    for number, (used, written, in_place) in enumerate(steps, start=1):
        reads, writes = used & bound, written & bound if in_place else written
        bound |= writes
        facts[number] = (f"cell {number}", reads, writes, in_place)
        if in_place:
            script.changes(*sorted(writes), reads=sorted(reads))
        else:
            script.step(sorted(writes), sorted(reads))
    final = play(facts, facts, {})
    asked = data.draw(st.sets(st.sampled_from(sorted(facts)), min_size=1))
    order = stale_again(script, {key: ["f"] for key in asked})
    assert set(order) >= asked
    assert play(order, facts, dict(final)) == final


MADE_BY = {"p": {"a"}, "q": {"b"}, "r": {"c"}, "s": set()}
RUNS = st.lists(
    st.tuples(st.sampled_from(sorted(MADE_BY)), st.sets(NAMES, max_size=2)), min_size=2, max_size=10
)


@given(RUNS)
def test_where_each_name_has_one_cell_nothing_is_stale_afterwards(runs):
    """However cells were edited and run again, unless they rest on one another in a circle."""
    script, there, facts = Script(), set(), {}
    for number, (cell, wanted) in enumerate(runs, start=1):
        facts[number] = sorted(MADE_BY[cell]), sorted((wanted & there) - MADE_BY[cell])
        script.step(*facts[number], cell=cell)
        there |= MADE_BY[cell]
    graph = script.graph()
    newest = newest_runs(graph.steps)
    rests_on = {n: {newest[e.before] for e in graph.direct(n)} for n in newest.values()}
    try:
        TopologicalSorter(rests_on).prepare()
    except CycleError:
        return
    for number in stale_again(script):
        script.step(*facts[number], cell=runs[number - 1][0])
    assert stale_steps(script.graph()) == {}
