"""What a resume will do, per name, decided from the log alone."""

from lineage.scripts import Records

from ipysession.checkpoint.plan import Action, ReplayPolicy, make_plan
from ipysession.model import payloads as p
from ipysession.model.provenance import FileUse, Lineage


def inputs(plan):
    """What each replayed step is given: names, and the step after which they were saved."""
    return {
        step.number: [(name, load.step) for load in step.inputs for name in load.wanted]
        for step in plan.steps
    }


class Script(Records):
    """Writes the records of a session whose values are saved, step by step."""

    def step(self, bound=(), reads=(), *, saved=None, skipped=(), unchanged=(), deleted=(), **more):
        """One step; ``saved`` names are saved with it (default: all that it bound). ``a=b`` are
        names of one group. ``changed`` makes it a step that was recorded to the letter.
        """
        self.steps += 1
        number = self.steps
        self.payloads.append(
            p.StepStarted(
                step=number,
                source=f"cell {number}",
                execution_count=number,
                parent=more.get("parent"),
            )
        )
        if more.get("died"):
            return self
        changed = more.get("changed")
        if more.get("files") or changed is not None:
            lineage = None
            if changed is not None:
                lineage = Lineage(
                    read=dict.fromkeys((*reads, *changed), "code"),
                    made=dict.fromkeys(bound, "code"),
                    changed=dict.fromkeys(changed, "value"),
                )
            files = more.get("files", [])
            self.payloads.append(p.StepEffects(step=number, files=files, lineage=lineage))
        self.payloads.append(
            p.StepFinished(
                step=number,
                outcome=more.get("outcome", "ok"),
                duration=1.0,
                execution_count=number,
                bound=list(bound),
                reads=list(reads),
                deleted=list(deleted),
                exact=changed is not None,
            )
        )
        if saved is None:
            saved = [name for name in bound if name not in skipped]
        if not more.get("no_checkpoint"):
            self.payloads.append(
                p.CheckpointSaved(
                    step=number,
                    groups=[
                        p.SavedGroup(
                            names=n.split("="),
                            size=more.get("size", 10),
                            inline=None if more.get("blob") else "",
                            blob=more.get("blob"),
                            plain=bool(more.get("plain")),
                            seconds=more.get("seconds", 0.0),
                        )
                        for n in saved
                    ],
                    skipped=[
                        p.SkippedGroup(names=n.split("="), reason="too large") for n in skipped
                    ],
                    unchanged=list(unchanged),
                    deleted=list(deleted),
                )
            )
        return self


def actions(plan):
    """What the plan does, by name."""
    return {item.name: item.action for item in plan.names}


def test_what_was_saved_last_is_loaded():
    """The newest value of each name, from the step that saved it."""
    session = Script().step(["x", "y"]).step(["x"]).session()
    plan = make_plan(session)
    assert actions(plan) == {"x": Action.LOAD, "y": Action.LOAD}
    assert {item.name: item.step for item in plan.names} == {"x": 2, "y": 1}
    assert [load.step for load in plan.loads] == [1, 2], "older groups first"
    assert not plan.replays


def test_what_was_not_saved_is_replayed_with_all_that_it_rests_on():
    """The slice goes back through what made it, to what can be loaded, and no further."""
    script = Script().step(["a"]).step(["noise"]).step(["b"], ["a"], skipped=["b"], unchanged=["a"])
    plan = make_plan(script.step(["c"], ["b"], skipped=["c"], unchanged=["b"]).session())
    assert actions(plan)["c"] is Action.REPLAY
    assert plan.replays == (3, 4)
    assert inputs(plan) == {3: [("a", 1)], 4: []}
    assert plan.seconds == 2.0


def test_a_name_that_a_later_step_may_have_changed_unsaved_is_not_loaded_stale():
    """An older value is never passed off as the newest."""
    session = Script().step(["x"]).step(["r"], ["x"], skipped=["x"]).session()
    plan = make_plan(session)
    assert actions(plan) == {"r": Action.LOAD, "x": Action.REPLAY}
    assert inputs(plan) == {2: [("x", 1)]}


def test_a_step_that_found_its_reads_unchanged_is_no_part_of_the_slice():
    """A look at a value is not a change of it."""
    script = Script().step(["x"], skipped=["x"]).step([], ["x"], unchanged=["x"])
    assert make_plan(script.step([], ["x"], skipped=["x"]).session()).replays == (1, 3)


def test_the_step_that_the_kernel_died_in_does_not_count():
    """What it did died with the kernel: the state is that before it."""
    plan = make_plan(Script().step(["x"]).step(died=True).session())
    assert actions(plan) == {"x": Action.LOAD}
    assert plan.died_in == 2
    assert plan.execution_count == 2


def test_a_step_whose_checkpoint_was_never_written_makes_its_names_stale():
    """The kernel was killed between the end of the cell and its checkpoint."""
    session = Script().step(["x", "y"]).step(["x"], ["y"], no_checkpoint=True).session()
    assert actions(make_plan(session)) == {"x": Action.REPLAY, "y": Action.REPLAY}


def test_steps_with_effects_outside_are_not_replayed_unless_asked():
    """They are named with what they did and the cell to run."""
    wrote = [FileUse(path="/out.csv", action="written")]
    session = Script().step(["x"], skipped=["x"], files=wrote).session()
    plan = make_plan(session)
    assert actions(plan)["x"] is Action.GIVE_UP
    assert "wrote /out.csv" in plan.names[0].reason
    assert [(b.step, b.source) for b in plan.blocked] == [(1, "cell 1")]
    assert actions(make_plan(session, replay=ReplayPolicy.ALL))["x"] is Action.REPLAY


def test_reading_a_file_is_no_effect():
    """It can be repeated without harm."""
    read = [FileUse(path="/in.csv", action="read")]
    session = Script().step(["x"], skipped=["x"], files=read).session()
    assert actions(make_plan(session))["x"] is Action.REPLAY


def test_replaying_can_be_ruled_out():
    """Then what was not saved is given up, with the cell to run."""
    session = Script().step(["x"], skipped=["x"]).session()
    plan = make_plan(session, replay=ReplayPolicy.NONE)
    assert actions(plan)["x"] is Action.GIVE_UP
    assert "step 1" in plan.names[0].reason


def test_a_step_whose_source_lost_a_secret_is_never_replayed():
    """What would run is not what ran, also with ``--replay=all``."""
    script = Script().step(["x"], skipped=["x"])
    started = next(i for i, made in enumerate(script.payloads) if made.type == "step.started")
    script.payloads[started] = p.StepStarted(
        step=1, source="x = login('[redacted:password]')", redacted={"password": 1}
    )
    for policy in ReplayPolicy:
        plan = make_plan(script.session(), replay=policy)
        assert actions(plan)["x"] is Action.GIVE_UP
    assert "held a secret" in make_plan(script.session()).names[0].reason
    assert make_plan(script.session()).blocked[0].step == 1


def test_deleted_names_stay_deleted():
    """``del x`` is part of the state."""
    session = Script().step(["x", "y"]).step(deleted=["x"]).session()
    assert actions(make_plan(session)) == {"y": Action.LOAD}


def test_checkpoints_that_cannot_be_verified_are_not_unpickled():
    """A tampered log costs the values of the step, not the session."""
    session = Script().step(["x"]).step(["y"]).session()
    plan = make_plan(session, untrusted={1})
    assert actions(plan) == {"x": Action.REPLAY, "y": Action.LOAD}
    assert not plan.trusted


def test_in_place_changes_that_were_not_saved_are_replayed_each():
    """Two appends are two steps."""
    script = Script().step(["n"]).step([], ["n"], skipped=["n"]).step([], ["n"], skipped=["n"])
    plan = make_plan(script.step(["m"], ["n"], skipped=["m"]).session())
    assert plan.replays == (2, 3, 4), "what was saved after step 1 is loaded"
    assert inputs(plan) == {2: [("n", 1)], 3: [], 4: []}


def test_a_replay_finds_its_inputs_as_they_were_before_it():
    """Not as they are at the end, and nothing that made them is replayed."""
    script = Script().step(["n"]).step(["g"], ["n"], skipped=["g"]).step(["n"])
    script.step([], ["g", "n"], skipped=["g"], unchanged=["n"])
    plan = make_plan(script.session())
    assert plan.replays == (2, 4)
    assert inputs(plan) == {2: [("n", 1)], 4: [("n", 3)]}
    assert {load.step for load in plan.loads} == {3}


def test_a_group_that_cannot_be_loaded_is_planned_around():
    """Its names are made again, from what can be loaded."""
    session = Script().step(["a"]).step(["b"], ["a"], unchanged=["a"]).session()
    plan = make_plan(session, broken={(2, ("b",))})
    assert actions(plan) == {"a": Action.LOAD, "b": Action.REPLAY}
    assert plan.replays == (2,)
    assert inputs(plan) == {2: [("a", 1)]}
    assert "cannot be loaded" in plan.names[1].reason


def test_a_step_whose_own_record_is_not_proven_is_not_replayed():
    """What somebody else wrote into the log must not run."""
    session = Script().step(["x"], skipped=["x"]).session()
    plan = make_plan(session, unproven={1})
    assert actions(plan)["x"] is Action.GIVE_UP
    assert "nothing proves" in plan.names[0].reason


def test_the_plan_for_an_earlier_step_knows_nothing_of_later_ones():
    """Going back."""
    session = Script().step(["x"]).step(["x", "y"]).session()
    plan = make_plan(session, head=1)
    assert {item.name: item.step for item in plan.names} == {"x": 1}
    assert plan.head == 1
    assert make_plan(session, head=0).names == ()
    assert plan.execution_count == 3, "numbers of cells are not given out twice"


def test_what_was_saved_in_a_branch_that_was_left_is_not_in_the_state():
    """Only the path to where the session stands counts."""
    script = Script().step(["x"]).step(["y"])
    script.payloads.append(p.SessionMoved(step=1, left=2))
    session = script.step(["z"], parent=1).session()
    assert set(actions(make_plan(session))) == {"x", "z"}
    assert set(actions(make_plan(session, head=2))) == {"x", "y"}


def test_what_a_replay_made_belongs_to_the_step_that_the_session_stood_on():
    """So it is loaded the next time, also when the user worked on from there."""
    script = Script().step(["g"], skipped=["g"])
    script.payloads += [
        p.StepStarted(step=2, source="cell 1", parent=1, replay_of=1),
        p.StepFinished(step=2, outcome="ok", duration=1.0),
        p.CheckpointSaved(step=2, groups=[p.SavedGroup(names=["g"], size=1, inline="")]),
    ]
    script.steps = 2
    session = script.step(["x"], parent=1).session()
    assert actions(make_plan(session)) == {"g": Action.LOAD, "x": Action.LOAD}


def test_what_is_no_longer_kept_is_replayed():
    """Its blobs may be gone; what stands in the record itself is there for ever."""
    script = Script().step(["x"], blob="0" * 64).step(["y"])
    script.payloads.append(p.CheckpointsDropped(steps=[1, 2]))
    plan = make_plan(script.session())
    assert actions(plan) == {"x": Action.REPLAY, "y": Action.LOAD}


def test_a_huge_value_that_is_made_in_no_time_is_made_again():
    """Loading 30 GB of zeros takes longer than making them."""
    script = Script().step(["x"], size=30_000_000_000)
    assert actions(make_plan(script.session())) == {"x": Action.REPLAY}
    read = [FileUse(path="/in.csv", action="read")]
    script = Script().step(["x"], size=30_000_000_000, files=read)
    assert actions(make_plan(script.session())) == {"x": Action.LOAD}, "the file may be another"
    plan = make_plan(Script().step(["x"], size=30_000_000_000).session(), replay=ReplayPolicy.NONE)
    assert actions(plan) == {"x": Action.LOAD}


def test_what_cannot_change_stays_as_it_was_when_a_step_only_reads_it():
    """``!echo {x}`` leaves nothing to save: that makes no ``x`` stale, and no replay repeat it."""
    wrote = [FileUse(path="/tmp/out", action="written")]
    script = Script().step(["x"], plain=True)
    script.step([], ["x"], no_checkpoint=True, files=wrote)
    script.step(["y"], ["x"], skipped=["y"])
    plan = make_plan(script.session())
    assert actions(plan) == {"x": Action.LOAD, "y": Action.REPLAY}
    assert plan.replays == (3,), "what only read x made nothing of y"


def test_what_an_unsaved_step_did_to_a_name_it_did_to_all_that_share_its_object():
    """Killed after ``b.append(1)``, where ``b is a``: the saved ``a`` is not the newest."""
    script = Script().step(["a", "b"], saved=["a=b"]).step([], ["b"], no_checkpoint=True)
    plan = make_plan(script.session())
    assert actions(plan) == {"a": Action.REPLAY, "b": Action.REPLAY}
    assert plan.replays == (2,)
    assert inputs(plan) == {2: [("a", 1), ("b", 1)]}, "together, as one object"


def test_a_slice_follows_an_object_through_all_of_its_names():
    """``total`` rests on ``a``, which was changed by the name ``b``."""
    script = Script().step(["a", "b"], saved=["a=b"]).step([], ["b"], skipped=["a", "b"])
    script.step(["total"], ["a"], skipped=["total"])
    assert make_plan(script.session()).replays == (2, 3)


def test_a_slice_needs_what_its_steps_delete():
    """`del n; gone = 'n'` raises where there is no n."""
    script = Script().step(["n"]).step(["other"])
    plan = make_plan(script.step(["gone"], skipped=["gone"], deleted=["n"]).session())
    assert inputs(plan) == {3: [("n", 1)]}


def test_what_shares_an_object_with_a_replayed_name_comes_from_the_same_replay():
    """``some = [rows[3]]``, then ``rows.append(1)``, unsaved: were ``some`` loaded beside the
    replayed ``rows``, ``some[0] is rows[3]`` would be no more.
    """
    script = Script().step(["rows"], changed=())
    script.step(["some"], ["rows"], saved=["rows=some"], changed=())
    script.step([], ["rows"], skipped=["rows=some"], changed=["rows"])
    plan = make_plan(script.session())
    assert actions(plan) == {"rows": Action.REPLAY, "some": Action.REPLAY}
    assert {item.replays for item in plan.names} == {(3,)}
    assert inputs(plan) == {3: [("rows", 2), ("some", 2)]}


def test_what_a_new_name_was_made_of_comes_from_the_replay_that_makes_it():
    """``some = [rows[3]]``, killed before it was saved: ``rows`` is that of the replay."""
    script = Script().step(["rows"], changed=())
    script.step(["some"], ["rows"], saved=[], skipped=["rows=some"], changed=())
    plan = make_plan(script.session())
    assert {item.name: item.replays for item in plan.names} == {"rows": (2,), "some": (2,)}


def test_what_cannot_be_replayed_takes_nothing_along_that_can_be_loaded():
    """``big = fetch(rows)``: where ``big`` is lost, nothing shares with ``rows``."""
    wrote = [FileUse(path="/out.csv", action="written")]
    script = Script().step(["rows"], changed=())
    script.step(["big"], ["rows"], saved=[], skipped=["big=rows"], files=wrote, changed=())
    assert actions(make_plan(script.session())) == {"big": Action.GIVE_UP, "rows": Action.LOAD}


def test_what_was_saved_after_a_step_that_only_read_it_is_loaded():
    """It was skipped when it was made, and saved by a later step; the newest one only read it."""
    script = Script().step(["x"], skipped=["x"], changed=())
    script.step([], ["x"], saved=["x"], changed=())
    script.step([], ["x"], skipped=["x"], changed=())
    assert actions(make_plan(script.session())) == {"x": Action.LOAD}


def test_what_was_saved_later_of_a_value_that_nobody_changed_since_is_loaded():
    """``K`` waited when its own step ended, and was saved while the session stood on a later one;
    then it waits again beside ``p``, which is changed. It is not made again.
    """
    script = Script().step(["K", "p"], skipped=["K", "p"], changed=[]).step(["x"], changed=[])
    script.payloads += [
        p.StepStarted(step=3, source="cell 1", parent=2, replay_of=1),
        p.StepFinished(step=3, outcome="ok", duration=1.0),
        p.CheckpointSaved(step=3, groups=[p.SavedGroup(names=["K", "p"], size=1, inline="")]),
    ]
    script.steps = 3
    script.step([], ["p"], skipped=["K", "p"], changed=["p"], parent=2)
    plan = make_plan(script.session())
    assert actions(plan) == {"K": Action.LOAD, "p": Action.REPLAY, "x": Action.LOAD}
    assert inputs(plan) == {4: [("K", 2), ("p", 2)]}, "from one group, so that they stay partners"


def test_a_value_that_was_seen_to_change_and_not_saved_is_not_loaded_stale():
    """Killed after ``b.append(1)`` where ``a`` holds ``b``, though they were saved apart."""
    script = Script().step(["a", "b"]).step([], ["b"], changed=["a", "b"], no_checkpoint=True)
    assert actions(make_plan(script.session())) == {"a": Action.REPLAY, "b": Action.REPLAY}


def test_names_that_idle_time_saved_together_are_loaded_together():
    """``counter(3)`` changed one of two names that share a list; the other one is told as
    unchanged, and is still to come from the same group, not from an older one.
    """
    script = Script().step(["make", "counter"], saved=["counter=make"], changed=())
    script.step([], ["counter"], saved=[], skipped=["counter=make"], changed=["counter"])
    late = p.SavedGroup(names=["counter", "make"], size=10, inline="")
    script.payloads.append(
        p.CheckpointSaved(step=2, groups=[late], changed=["counter"], unchanged=["make"])
    )
    plan = make_plan(script.session())
    assert {item.name: item.step for item in plan.names} == {"counter": 2, "make": 2}
    assert [(load.step, load.wanted) for load in plan.loads] == [(2, ("counter", "make"))]


def test_how_long_saving_took_tells_how_long_loading_will():
    """The same value: loaded from a fast disk, made again where the disk is slow."""
    fast = Script().step(["x"], size=1_000_000_000, seconds=1.0).session()
    assert actions(make_plan(fast)) == {"x": Action.LOAD}
    slow = Script().step(["x"], size=1_000_000_000, seconds=40.0).session()
    assert actions(make_plan(slow)) == {"x": Action.REPLAY}
