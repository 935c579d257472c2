"""Which version answered is known of each row; one that has moved on makes what it answered stale."""

from __future__ import annotations

import shutil

import mlflow
import pytest

import sqlml
from sqlml.errors import SqlmlError
from tables import small
from tables.small import DAY_OF, QUERY, ask, declare, fails, frame, same_scores, utc, whole, windows


@pytest.fixture
def own(world, tmp_path):
    """A registry of the test's own."""
    return world.whole(tmp_path / "own")


@pytest.fixture
def moving(own, source):
    """A session on it."""
    with sqlml.connect(project=own.folder) as session:
        small.fill(session, source)
        yield session


def client(world: small.World) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(tracking_uri=world.registry, registry_uri=world.registry)


def to_version(world: small.World, version: int) -> None:
    client(world).set_registered_model_alias("risk", "champion", str(version))


def by_version(db: sqlml.Session) -> list[tuple[str, int]]:
    return db.sql("SELECT _model.risk.version, count(*) FROM predictions.daily GROUP BY ALL ORDER BY 1").fetchall()


@pytest.mark.slow
def test_another_version_makes_windows_stale(moving, own, source):
    declare(moving)
    ask(moving, now=utc(2024, 3, 5))
    assert ask(moving, stale=True).runs == ()
    to_version(own, 2)
    moving.sync()
    assert windows(ask(moving)) == ["2024-03-05T00:00:00"]
    assert by_version(moving) == [("1", 32), ("2", 8)]
    same_scores(own, frame(moving)[:32], source[:32], 1)
    same_scores(own, frame(moving)[32:], source[32:], 2)
    assert len(windows(ask(moving, stale=True))) == 4
    same_scores(own, frame(moving), source, 2)
    assert ask(moving, stale=True).runs == ()
    to_version(own, 1)
    moving.sync()
    assert len(windows(ask(moving, stale=True))) == 5
    same_scores(own, frame(moving), source, 1)
    whole(moving, column=DAY_OF)


def test_stale_without_windows(moving, own, source):
    declare(moving, "")
    ask(moving)
    assert ask(moving, stale=True).runs == ()
    to_version(own, 2)
    moving.sync()
    assert len(ask(moving, stale=True).runs) == 1
    same_scores(own, frame(moving), source, 2)


def test_another_query_makes_windows_stale(db, world, source):
    declare(db)
    ask(db)
    declare(db, query=f"/* the same */  {QUERY.lower()}", new=False)
    assert ask(db, stale=True).runs == ()
    declare(db, query=QUERY.replace("risk_score(e)", "1 - risk_score(e)"), new=False)
    assert windows(ask(db)) == []
    same_scores(world, frame(db), source)
    assert len(windows(ask(db, stale=True))) == 5
    same_scores(world, frame(db).assign(risk=lambda rows: 1 - rows.risk), source)
    assert ask(db, stale=True).runs == ()


@pytest.mark.slow
def test_an_alias_that_moves_during_a_refresh(moving, own, source):
    """All windows of a refresh are answered by the versions of its beginning."""
    declare(moving)

    def moves(run) -> None:
        if run.window_key.startswith("2024-03-02"):
            to_version(own, 2)
            assert [move.function for move in moving.sync()] == ["risk"]

    done = ask(moving, progress=moves)
    assert [run.versions["risk"]["version"] for run in done.runs] == ["1"] * 5
    assert by_version(moving) == [("1", 40)]
    same_scores(own, frame(moving), source, 1)
    assert len(windows(ask(moving, stale=True, jobs=2))) == 5
    same_scores(own, frame(moving), source, 2)


def test_a_function_that_is_dropped_during_a_refresh(moving, own, source):
    declare(moving)

    def drops(run) -> None:
        if run.window_key.startswith("2024-03-02"):
            with sqlml.connect(project=own.folder) as other:
                other.drop("risk")

    ask(moving, progress=drops)
    same_scores(own, frame(moving), source, 1)
    fails(SqlmlError, "risk_score", lambda: ask(moving))
    same_scores(own, frame(moving), source, 1)


def test_a_version_that_is_deleted(moving, own, source):
    """What was fetched once is kept; the registry is not asked again."""
    declare(moving)
    ask(moving, now=utc(2024, 3, 3))
    client(own).delete_model_version("risk", "1")
    assert len(windows(ask(moving))) == 3
    with sqlml.connect(project=own.folder) as other:
        small.fill(other, source)
        ask(other, start="2024-03-01", end="2024-03-06")
        same_scores(own, frame(other), source, 1)


@pytest.mark.long
@pytest.mark.slow
def test_a_version_of_which_nothing_is_left(moving, own, source):
    """Neither the registry nor this machine has it: the old rows stay, and another version heals the table."""
    moving.register("risk", "models:/risk@champion", strategy="python", replace=True)
    declare(moving)
    ask(moving, now=utc(2024, 3, 3))
    client(own).delete_model_version("risk", "1")
    shutil.rmtree(own.folder / ".sqlml" / "artifacts")
    with sqlml.connect(project=own.folder) as other:
        small.fill(other, source)
        fails(SqlmlError, "risk", lambda: ask(other))
        same_scores(own, frame(other), source[:16], 1)
        assert other.sql("SELECT outcome FROM sqlml.refreshes ORDER BY started_at").fetchall() == [
            ("done",),
            ("failed",),
        ]
        to_version(own, 2)
        other.sync()
        assert len(windows(ask(other))) == 3
        same_scores(own, frame(other)[16:], source[16:], 2)


def test_a_version_that_the_query_names(moving, own, source):
    declare(moving, query=QUERY.replace("risk_score(e)", "predict_score('risk/1', e)"))
    ask(moving)
    to_version(own, 2)
    moving.sync()
    assert ask(moving, stale=True).runs == ()
    same_scores(own, frame(moving), source, 1)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 3])
def test_an_alias_that_the_query_names(moving, own, source, jobs):
    """It is followed, too, but not in the middle of a refresh."""
    declare(moving, query=QUERY.replace("risk_score(e)", "predict_score('risk@challenger', e)"))
    moved = []

    def moves(_run) -> None:
        if not moved:
            moved.append(client(own).set_registered_model_alias("risk", "challenger", "1"))
            moving.sync()

    ask(moving, progress=moves, jobs=jobs)
    same_scores(own, frame(moving), source, 2)
    assert len(windows(ask(moving, stale=True, jobs=jobs))) == 5
    same_scores(own, frame(moving), source, 1)


def test_who_does_not_follow_the_alias_stays(moving, own, source):
    declare(moving)
    ask(moving)
    to_version(own, 2)
    assert ask(moving, stale=True).runs == ()
    same_scores(own, frame(moving), source, 1)
