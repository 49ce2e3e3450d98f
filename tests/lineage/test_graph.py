"""The graph of executions: what a step needs, what rests on it."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lineage.scripts import Script, lineage

from ipysession.lineage.check import Problem, edge_problems, parent_problems
from ipysession.lineage.facts import Facts
from ipysession.lineage.graph import Graph
from ipysession.model import payloads as p
from ipysession.model.provenance import FileUse


def test_a_step_needs_the_last_step_that_made_each_name_it_reads():
    """A later version of a name is another matter."""
    graph = Script().step(["k"]).step(["v"], ["k"]).step(["k"]).step([], ["v"]).graph()
    assert graph.needs_step(4) == (1, 2, 4)
    assert graph.needs(["k"]) == (3,)
    assert graph.needs(["k"], at=2) == (1,)
    assert graph.needs(["nobody made it"]) == ()


def test_a_change_in_place_rests_on_what_was_there():
    """So of two appends both are needed, and what made the list."""
    graph = Script().step(["x"]).changes("x").step(["noise"]).changes("x").step([], ["x"]).graph()
    assert graph.needs_step(5) == (1, 2, 4, 5)
    assert graph.needs(["x"], at=3) == (1, 2)


def test_what_is_made_anew_forgets_what_was_there():
    """Whatever was appended to the old one."""
    graph = Script().step(["x"]).changes("x").step(["x"]).step([], ["x"]).graph()
    assert graph.needs_step(4) == (3, 4)


def test_a_step_needs_what_it_deletes_and_its_absence_needs_the_step():
    """`del x` fails where there is no x."""
    graph = Script().step(["x"]).step(deleted=["x"]).graph()
    assert graph.needs_step(2) == (1, 2)
    assert graph.needs(["x"]) == (1, 2)


def test_parts_are_told_apart_where_reader_and_writer_are():
    """`d['b'] = 2` is nothing to a reader of `d['a']`."""
    script = Script().step(["d"])
    script.step(lineage=lineage(changed=["d['a']", "d[*]"]))
    script.step(lineage=lineage(changed=["d['b']", "d[*]"]))
    script.step(lineage=lineage(read=["d['a']"])).step([], ["d"])
    graph = script.graph()
    assert graph.needs_step(4) == (1, 2, 4)
    assert graph.needs_step(5) == (1, 2, 3, 5)
    assert graph.needs(["d['b']"]) == (1, 3)
    assert graph.needs(["d"], at=2) == (1, 2)


def test_a_reader_of_a_whole_needs_every_part_however_many_there_are():
    """Also where parts are joined so that readers stay cheap."""
    script = Script().step(["d"])
    for index in range(100):
        script.step(lineage=lineage(changed=[f"d[{index}]", "d[*]"]))
    for _ in range(3):
        script.step([], ["d"])
    script.step(lineage=lineage(changed=["d[7]"])).step([], ["d"])
    script.step(lineage=lineage(read=["d[8]"]))
    graph = script.graph()
    assert graph.needs_step(102) == (*range(1, 103),)
    assert graph.needs_step(106) == (*range(1, 102), 105, 106)
    assert graph.needs_step(107) == (1, 10, 107)
    assert graph.uses(8) == (102, 103, 104, 106)
    assert [edge.before for edge in graph.direct(103)] == [*range(1, 102)]


def test_what_was_too_large_to_compare_counts_as_changed_until_its_checkpoint_knows():
    """Idle time may find out later."""
    script = Script().step(["big"])
    script.step(lineage=lineage(read=["big"], changed=["big"], unsure=["big"]))
    script.step([], ["big"])
    assert script.graph().needs_step(3) == (1, 2, 3)
    script = Script().step(["big"])
    script.step(lineage=lineage(read=["big"], changed=["big"], unsure=["big"]))
    script.saved(unchanged=["big"]).step([], ["big"])
    assert script.graph().needs_step(3) == (1, 3)


def test_of_older_logs_whatever_a_step_could_reach_may_have_changed():
    """Even a binding may have stood in a branch not taken."""
    script = Script().step(["x"], exact=False).step([], ["x"], exact=False)
    script.step(["x"], exact=False).step([], ["x"], exact=False)
    assert script.graph().needs_step(4) == (1, 2, 3, 4)


def test_of_older_logs_checkpoints_tell_what_stayed_and_what_goes_together():
    """What one name suffers, its co-variables do."""
    script = Script().step(["x", "y"], exact=False)
    script.saved(groups=[p.SavedGroup(names=["x", "y"], size=1, inline="")])
    script.step([], ["x"], exact=False).saved(unchanged=["x", "y"])
    script.step([], ["y"], exact=False)
    script.step([], ["x"], exact=False)
    assert script.graph().needs_step(4) == (1, 3, 4)


def test_files_tie_steps_together():
    """Who reads a file needs who wrote it."""
    use = FileUse(path="/f", action="written")
    script = Script().step(files=[use], exact=False).step(["noise"], exact=False)
    script.step(files=[FileUse(path="/f")], exact=False)
    assert script.graph().needs_step(3) == (1, 3)


def test_only_the_branch_counts():
    """A step that was left behind by going back made nothing here."""
    script = Script().step(["x"]).step(["x"], parent=1).step([], ["x"], parent=1)
    assert script.graph().needs_step(3) == (1, 3)
    assert 2 not in script.graph()
    assert script.graph(head=2).needs(["x"]) == (2,)
    with pytest.raises(LookupError, match="step 2 is not on this branch"):
        script.graph().needs_step(2)


def test_uses_is_the_other_way_round():
    """From a step or a thing to all that rests on it."""
    graph = Script().step(["a"]).step(["b"], ["a"]).step(["c"]).step([], ["b", "c"]).graph()
    assert graph.uses(1) == (2, 4)
    assert graph.uses_of("c") == (4,)
    assert graph.uses_of("a", at=1) == (2, 4)
    assert graph.chain(1, 4) == (1, 2, 4)
    assert graph.chain(3, 2) == ()


def test_order_tells_who_must_run_before_the_next_writer():
    """Writers in their order, readers before the next one."""
    graph = Script().step(["k"]).step(["v"], ["k"]).step(["k"]).graph()
    assert [(e.before, e.after, e.things) for e in graph.order()] == [
        (1, 3, ("k",)),
        (2, 3, ("k",)),
    ]
    assert [(e.before, e.after, e.things) for e in graph.edges()] == [(1, 2, ("k",))]


def test_what_a_log_says_wrongly_of_parents_is_told_with_its_path():
    """And nothing crashes."""
    script = Script().step(parent=3).step(parent=1).step(parent=2).step(parent=4).step(parent=99)
    session = script.session()
    assert {str(problem) for problem in parent_problems(session)} == {
        "a cycle: step 1 → step 3 → step 2 → step 1",
        "a step that depends on itself: step 4 → step 4",
        "a missing step: step 5 → step 99, which the log does not hold",
    }
    assert Graph.of(session).problems == parent_problems(session)


def test_sound_edges_have_no_problems():
    """Each kind of problem is told as what it is."""
    assert edge_problems([1, 2, 3], {2: [1], 3: [1, 2]}) == ()
    assert edge_problems([1, 2], {1: [2], 2: [1]})[0].kind == "cycle"
    assert edge_problems([1], {1: [1]}) == (Problem("self-dependency", (1, 1)),)


NAMES = st.sampled_from(["a", "b", "c", "d['k']", "d['l']", "d", "file:/f", "file:*", "random:x"])
THINGS = st.dictionaries(NAMES, st.just("code"), max_size=3)


@given(st.lists(st.builds(Facts, THINGS, THINGS, THINGS), max_size=30))
def test_slices_are_closed_in_order_and_mirrored_by_uses(steps: list[Facts]):
    """Whatever the steps did; and asking of the past is asking then."""
    graph = Graph()
    for step, facts in zip(stub_steps(len(steps)), steps, strict=True):
        graph.add(step, facts)
    for number in range(1, len(steps) + 1):
        needed = graph.needs_step(number)
        assert needed == tuple(sorted(set(needed)))
        assert needed[-1] == number
        for other in needed[:-1]:
            assert set(graph.needs_step(other)) <= set(needed)
            assert number in graph.uses(other)
            assert graph.chain(other, number)[0] == other
        for other in graph.uses(number):
            assert number in graph.needs_step(other)
    for name in ("a", "d", "d['k']", "file:/f"):
        for at in range(len(steps) + 1):
            known = Graph()
            for step, facts in zip(stub_steps(at), steps[:at], strict=True):
                known.add(step, facts)
            assert graph.needs([name], at=at) == known.needs([name])


def stub_steps(count: int) -> Iterator:
    """Steps that did nothing."""
    script = Script()
    for _ in range(count):
        script.step()
    return iter(script.session().steps)
