"""Refreshes, their runs, and the lock of a table."""

from datetime import UTC, datetime, timedelta

import pytest

from sqlml.catalog.refreshes import LOST

SLOT = datetime(2013, 1, 2, 3, 0, tzinfo=UTC)


@pytest.fixture
def tables(catalog, declare):
    declare()
    return catalog.predictions


def test_a_refresh_comes_back_as_it_was_begun(tables, refresh):
    wanted = refresh("r", kind="range", range_from="2013-01-01", range_to="2013-01-02", scheduled_for=SLOT, windows=3)
    assert tables.begin_refresh(wanted) == (wanted, True)
    assert tables.refresh("r") == wanted
    assert tables.refresh("r").scheduled_for.tzinfo is UTC


def test_refreshes_of_no_schedule_stand_side_by_side(tables, refresh):
    for number in range(3):
        assert tables.begin_refresh(refresh(f"r{number}"))[1]
    assert {one.attempt for one in tables.refreshes("t")} == {1}


def test_a_moment_that_is_done_is_done(tables, refresh):
    tables.begin_refresh(refresh("one", scheduled_for=SLOT))
    tables.finish_refresh("one", "done")
    found, fresh = tables.begin_refresh(refresh("two", scheduled_for=SLOT.astimezone()))
    assert (found.refresh_id, found.outcome, fresh) == ("one", "done", False)
    assert tables.begin_refresh(refresh("three", scheduled_for=SLOT + timedelta(days=1)))[1]


def test_a_moment_that_is_at_work_is_left_to_it(tables, refresh):
    tables.begin_refresh(refresh("one", scheduled_for=SLOT))
    found, fresh = tables.begin_refresh(refresh("two", scheduled_for=SLOT))
    assert (found.refresh_id, found.outcome, fresh) == ("one", "running", False)


def test_a_moment_that_failed_is_tried_again(tables, refresh):
    tables.begin_refresh(refresh("one", scheduled_for=SLOT))
    tables.finish_refresh("one", "failed", "no luck")
    found, fresh = tables.begin_refresh(refresh("two", scheduled_for=SLOT))
    assert (found.refresh_id, found.attempt, fresh) == ("two", 2, True)
    first = tables.refresh("one")
    assert (first.outcome, first.error, first.attempt) == ("failed", "no luck", 1)
    tables.finish_refresh("two", "done")
    assert tables.begin_refresh(refresh("three", scheduled_for=SLOT)) == (tables.refresh("two"), False)


def test_a_moment_whose_process_fell_silent_is_taken_over(tables, refresh, run):
    silent = datetime.now(UTC) - timedelta(seconds=90)
    tables.begin_refresh(refresh("one", scheduled_for=SLOT, heartbeat_at=silent))
    tables.begin_run(run("a", refresh_id="one"))
    assert not tables.begin_refresh(refresh("two", scheduled_for=SLOT), alive_seconds=600)[1]
    found, fresh = tables.begin_refresh(refresh("two", scheduled_for=SLOT), alive_seconds=60)
    assert (found.refresh_id, found.attempt, fresh) == ("two", 2, True)
    assert (tables.refresh("one").outcome, tables.refresh("one").error) == ("failed", LOST)
    assert [(one.outcome, one.error) for one in tables.runs("t")] == [("failed", LOST)]
    # It wakes up again: what it says of itself doesn't touch the other.
    assert not tables.beat("one")
    tables.finish_refresh("one", "failed", "late")
    assert tables.refresh("two").outcome == "running"


def test_a_schedule_is_answered_up_to_what_was_done_last(catalog, tables, declare, refresh):
    assert tables.answered() == {}
    declare("Other")
    for number, (outcome, moment) in enumerate([("done", 0), ("done", 2), ("failed", 3), ("done", 1)]):
        tables.begin_refresh(refresh(f"r{number}", scheduled_for=SLOT + timedelta(days=moment)))
        tables.finish_refresh(f"r{number}", outcome)
    assert tables.answered() == {"t": SLOT + timedelta(days=2)}


def test_a_refresh_by_hand_answers_what_was_due_before_it(tables, refresh):
    now = datetime.now(UTC)
    for kind, outcome in (("range", "done"), ("stale", "done"), ("due", "failed")):
        tables.begin_refresh(refresh(kind, kind=kind, started_at=now))
        tables.finish_refresh(kind, outcome)
    assert tables.answered() == {}
    tables.begin_refresh(refresh("slot", scheduled_for=SLOT, started_at=now))
    tables.finish_refresh("slot", "done")
    assert tables.answered() == {"t": SLOT}
    tables.begin_refresh(refresh("hand", kind="full", started_at=now))
    tables.finish_refresh("hand", "done")
    assert tables.answered() == {"t": now}


def test_a_beat_keeps_a_refresh_alive(tables, refresh):
    tables.begin_refresh(refresh("one", scheduled_for=SLOT, heartbeat_at=SLOT))
    assert tables.beat("one")
    assert datetime.now(UTC) - tables.refresh("one").heartbeat_at < timedelta(seconds=30)
    assert not tables.begin_refresh(refresh("two", scheduled_for=SLOT))[1]
    tables.finish_refresh("one", "done")
    assert not tables.beat("one")


def test_a_table_made_anew_has_answered_nothing(tables, declare, refresh):
    tables.begin_refresh(refresh("one", scheduled_for=SLOT))
    tables.drop("t")
    declare()
    # The predecessor's refresh still runs: the two must not write at the same time.
    assert not tables.begin_refresh(refresh("two", scheduled_for=SLOT))[1]
    tables.finish_refresh("one", "done")
    assert tables.answered() == {}
    found, fresh = tables.begin_refresh(refresh("two", scheduled_for=SLOT))
    assert (found.attempt, fresh) == (2, True)


def test_refreshes_come_newest_first(tables, refresh):
    for number in range(5):
        tables.begin_refresh(refresh(f"r{number}", started_at=SLOT + timedelta(hours=number)))
    assert [one.refresh_id for one in tables.refreshes("t", limit=2)] == ["r4", "r3"]
    assert len(tables.refreshes("T", limit=None)) == 5
    assert tables.refreshes("other") == []


def test_an_id_that_there_is_not(tables):
    for ask in (tables.refresh, lambda x: tables.finish_refresh(x, "done")):
        with pytest.raises(ValueError, match="no refresh 'x'"):
            ask("x")
    with pytest.raises(ValueError, match="no run 'x'"):
        tables.finish_run("x", "failed")


def test_a_run_comes_back_as_it_was_begun_and_finished(tables, run):
    begun = run("a", versions={"f": {"version": "3"}})
    tables.begin_run(begun)
    assert tables.runs() == [begun]
    audits = [{"rule": "not_null(risk)", "passed": True, "found": 0}]
    tables.finish_run(
        "a", "published", rows_in=2**40, rows_out=9, files=2, bytes=3, seconds=0.5, audits=audits, commit_version=7
    )
    (done,) = tables.runs("T")
    assert (done.outcome, done.rows_in, done.rows_out, done.files, done.bytes) == ("published", 2**40, 9, 2, 3)
    assert (done.seconds, done.audits, done.commit_version, done.versions) == (0.5, audits, 7, begun.versions)
    assert done.started_at <= done.finished_at <= datetime.now(UTC)


def test_what_is_published_stays_so(tables, run):
    tables.begin_run(run("a"))
    tables.finish_run("a", "published", rows_out=9)
    tables.finish_run("a", "failed", error="the connection broke afterwards")
    (done,) = tables.runs()
    assert (done.outcome, done.error, done.rows_out) == ("published", None, 9)
    tables.finish_run("a", "published", rows_in=8)
    (done,) = tables.runs()
    assert (done.rows_in, done.rows_out) == (8, 9)


def test_a_run_s_end_has_no_other_fields(tables, run):
    tables.begin_run(run("a"))
    for name in ("run_id", "table_name", "row_out"):
        with pytest.raises(TypeError, match=name):
            tables.finish_run("a", "failed", **{name: "x"})
    assert tables.runs()[0].outcome == "running"


def test_whatever_an_engine_said_is_told(tables, refresh, run):
    tables.begin_refresh(refresh("r"))
    tables.begin_run(run("a"))
    tables.finish_run("a", "failed", error="'\x00' is no \ud800")
    tables.finish_refresh("r", "failed", "'\x00' is no \ud800")
    assert (tables.runs()[0].error, tables.refresh("r").error) == ("'?' is no ?", "'?' is no ?")


def test_runs_are_asked_for(tables, run):
    for number in range(4):
        started = SLOT + timedelta(hours=number)
        outcome = "failed" if number % 2 else "published"
        tables.begin_run(run(f"a{number}", refresh_id=f"r{number // 2}", started_at=started, outcome=outcome))
    tables.begin_run(run("b", table_name="Other", started_at=SLOT + timedelta(days=1)))

    def ids(**asked):
        return [one.run_id for one in tables.runs(**asked)]

    assert ids() == ["b", "a3", "a2", "a1", "a0"]
    assert ids(limit=1) == ["b"]
    assert ids(name="T", limit=2) == ["a3", "a2"]
    assert ids(outcome="failed") == ["a3", "a1"]
    assert ids(refresh_id="r0", outcome="published") == ["a0"]
    assert ids(name="other") == ["b"]


def test_the_lost_are_closed_and_nobody_else(tables, refresh, run):
    for name, pid in (("dead", 1), ("alive", 2), ("done", 1)):
        tables.begin_refresh(refresh(name, pid=pid))
        tables.begin_run(run(f"{name}-running", refresh_id=name, started_at=SLOT))
        tables.begin_run(run(f"{name}-published", refresh_id=name, outcome="published"))
    tables.finish_refresh("done", "done")
    tables.begin_run(run("dead-later", refresh_id="dead"))
    assert tables.close_lost("T", lambda one: one.pid == 1) == ["dead-running", "dead-later"]
    dead = tables.refresh("dead")
    assert (dead.outcome, dead.error) == ("failed", "the process ended before it was finished")
    assert dead.finished_at is not None
    assert tables.refresh("alive").outcome == "running"
    outcomes = {one.run_id: (one.outcome, one.error) for one in tables.runs()}
    assert outcomes["dead-running"] == outcomes["dead-later"] == ("failed", LOST)
    assert outcomes["dead-published"] == ("published", None)
    assert outcomes["alive-running"] == outcomes["done-running"] == ("running", None)
    assert tables.close_lost("t", lambda one: one.pid == 1) == []


def test_one_that_beats_while_it_is_asked_about_is_not_lost(tables, refresh):
    tables.begin_refresh(refresh("r", heartbeat_at=SLOT))

    def is_dead(one):
        return tables.beat(one.refresh_id)

    assert tables.close_lost("t", is_dead) == []
    assert tables.refresh("r").outcome == "running"


def test_a_lock_is_taken_renewed_and_given_back(tables):
    assert tables.lock("t", "me", 60) is None
    assert tables.lock("T", "other", 60) == "me"
    assert tables.lock("T", "me", 60) is None
    tables.unlock("t", "other")
    assert tables.lock("t", "other", 60) == "me"
    tables.unlock("T", "me")
    assert tables.lock("t", "other", 60) is None


def test_a_lock_that_ran_out_is_free(tables):
    tables.lock("t", "me", -1)
    assert tables.lock("t", "other", 60) is None
    assert tables.lock("t", "me", 60) == "other"


def test_a_lock_needs_no_table(tables):
    assert tables.lock("to_be_made", "me", 60) is None
    assert tables.lock("TO_BE_MADE", "other", 60) == "me"
