"""Prediction tables: how they are declared, and what is known to be published."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sqlml.catalog import PredictionTable
from sqlml.errors import CatalogError, TableExists, UnknownTable


@pytest.fixture
def tables(catalog):
    return catalog.predictions


def test_a_table_comes_back_as_it_was_put(tables, declare):
    before = datetime.now(UTC)
    assert declare("Delay_Daily", engine="spark", file="tables/delay.sql", needs_full=True)
    table = tables.get("delay_daily")
    assert table == PredictionTable(
        name="Delay_Daily",
        text="CREATE PREDICTION TABLE Delay_Daily AS SELECT 1",
        query="SELECT 1",
        dialect="duckdb",
        engine="spark",
        schedule="0 3 * * *",
        zone="UTC",
        file="tables/delay.sql",
        path="/tables/Delay_Daily",
        fingerprint="f1",
        synced_version=-1,
        needs_full=True,
        created_at=table.created_at,
        updated_at=table.created_at,
    )
    assert before <= table.created_at <= datetime.now(UTC)
    assert table.created_at.tzinfo is UTC


def test_tables_are_listed_by_name(tables, declare):
    for name in ("b", "A", "c"):
        declare(name)
    assert [table.name for table in tables.all()] == ["A", "b", "c"]


def test_names_are_the_same_in_any_case(tables, declare, window, refresh, run):
    declare("Straße")
    with pytest.raises(TableExists, match="'Straße'"):
        declare("STRASSE")
    tables.absorb("STRASSE", 1, [window("k", 1)])
    tables.begin_refresh(refresh("r", table_name="strasse"))
    tables.begin_run(run("a", table_name="STRASSE"))
    tables.set_full("strasse", True)
    assert declare("STRASSE", replace=True)
    assert [(table.name, table.needs_full) for table in tables.all()] == [("STRASSE", True)]
    assert [one.table_name for one in tables.refreshes("strAße")] == ["Straße"]
    assert [one.run_id for one in tables.runs("straSSe")] == ["a"]
    tables.drop("strasse")
    assert tables.all() == []


def test_the_sentences(tables, declare):
    declare("delay_daily")
    with pytest.raises(TableExists) as taken:
        declare("Delay_Daily")
    assert str(taken.value) == (
        "A prediction table is named 'delay_daily' already: CREATE OR REPLACE PREDICTION TABLE replaces it."
    )
    with pytest.raises(UnknownTable) as unknown:
        tables.get("dealy_daily")
    assert str(unknown.value) == "No prediction table is named 'dealy_daily'. Did you mean 'delay_daily'?"
    assert isinstance(unknown.value, CatalogError)


def test_what_needs_the_table_says_that_there_is_none(tables, window, refresh):
    for ask in (
        tables.get,
        tables.drop,
        tables.windows,
        lambda name: tables.set_full(name, True),
        lambda name: tables.absorb(name, 1, [window("k", 1)]),
        lambda name: tables.begin_refresh(refresh("r", table_name=name)),
    ):
        with pytest.raises(UnknownTable, match=r"^No prediction table is named 't'\.$"):
            ask("t")


def test_the_same_again_changes_nothing(catalog, tables, declare):
    declare()
    before, revision = tables.get("t"), catalog.revision()
    assert not declare(replace=True)
    assert (tables.get("t"), catalog.revision()) == (before, revision)


def test_replacing_keeps_what_is_published(tables, declare, window):
    declare()
    tables.absorb("t", 4, [window("k", 4)])
    before = tables.get("t")
    assert declare(replace=True, query="SELECT 2", fingerprint="f2")
    after = tables.get("t")
    assert (after.query, after.synced_version, after.created_at) == ("SELECT 2", 4, before.created_at)
    assert after.updated_at > before.updated_at
    assert list(tables.windows("t")) == ["k"]


def test_in_another_folder_a_table_begins_again(tables, declare, window):
    declare()
    tables.absorb("t", 4, [window("k", 4)], gone=["l"])
    assert declare(replace=True, path="/elsewhere")
    assert (tables.get("t").synced_version, tables.windows("t")) == (-1, {})
    tables.absorb("t", 0, [window("k", 0), window("l", 0)])
    assert list(tables.windows("t")) == ["k", "l"]


def test_a_full_refresh_to_be_done_is_not_called_off_by_declaring(tables, declare):
    declare(needs_full=True)
    assert not declare(replace=True)
    assert declare(replace=True, query="SELECT 2")
    assert tables.get("t").needs_full
    tables.set_full("t", False)
    assert not tables.get("t").needs_full
    assert declare(replace=True, query="SELECT 2", needs_full=True)
    assert tables.get("t").needs_full


def test_dropping_keeps_what_was_done(tables, declare, window, refresh, run):
    declare()
    tables.absorb("t", 4, [window("k", 4)])
    tables.begin_refresh(refresh("r"))
    tables.begin_run(run("a"))
    tables.lock("t", "me", 60)
    tables.drop("T")
    assert [one.refresh_id for one in tables.refreshes("t")] == ["r"]
    assert [one.run_id for one in tables.runs("t")] == ["a"]
    assert tables.lock("t", "other", 60) == "me"
    declare()
    assert tables.windows("t") == {}
    assert tables.get("t").synced_version == -1


def test_declarations_raise_the_revision_and_refreshes_the_activity(catalog, tables, declare, window, refresh, run):
    declared = [declare, lambda: declare(replace=True, query="SELECT 2"), lambda: tables.drop("t"), declare]
    for change in declared:
        revision, activity = catalog.activity()
        change()
        assert catalog.activity() == (revision + 1, activity)
    recorded = [
        lambda: tables.begin_refresh(refresh("r")),
        lambda: tables.begin_run(run("run-k")),
        lambda: tables.beat("r"),
        lambda: tables.absorb("t", 3, [window("k", 3)]),
        lambda: tables.finish_run("run-k", "published", rows_in=1),
        lambda: tables.finish_refresh("r", "done"),
        lambda: tables.set_full("t", True),
        lambda: tables.lock("t", "me", 60),
        lambda: tables.unlock("t", "me"),
    ]
    for change in recorded:
        revision, activity = catalog.activity()
        change()
        assert catalog.activity() == (revision, activity + 1)


def test_what_changes_nothing_is_no_activity(catalog, tables, declare, window, refresh):
    declare()
    tables.absorb("t", 3, [window("k", 3)], gone=["l"])
    tables.lock("t", "me", 60)
    slot = datetime(2013, 1, 2, tzinfo=UTC)
    tables.begin_refresh(refresh("r", scheduled_for=slot))
    before = catalog.activity()
    tables.absorb("t", 3, [window("k", 3)], gone=["l"])
    tables.absorb("t", 2, [])
    tables.set_full("t", False)
    tables.begin_refresh(refresh("s", scheduled_for=slot))
    assert tables.lock("t", "other", 60) == "me"
    tables.unlock("t", "other")
    assert not tables.beat("nobody")
    assert tables.close_lost("t", lambda refresh: False) == []
    assert catalog.activity() == before


def test_functions_are_not_read_again_for_a_refresh(catalog, tables, declare, refresh):
    declare()
    before = catalog.snapshot()
    tables.begin_refresh(refresh("r"))
    assert catalog.snapshot() is before


def test_a_window_comes_back_as_it_was_absorbed(tables, declare, window):
    declare()
    nested = {"f": {"model": "é\x00", "version": None}}
    made = window("a/b", 4, number=3, rows=2**40, versions=nested, window_from=None)
    tables.absorb("t", 4, [made])
    assert tables.windows("t") == {"a/b": made}
    assert tables.windows("t")["a/b"].published_at.tzinfo is UTC


def test_of_two_commits_the_newer_wins_in_any_order(tables, declare, window):
    older, newer = window("k", 3, rows=1), window("k", 5, rows=2, number=2)
    for order in ([older, newer], [newer, older]):
        declare(replace=True, path=f"/{order[0].rows}")
        for each in order:
            tables.absorb("t", each.commit_version, [each])
        assert tables.windows("t") == {"k": newer}
        assert tables.get("t").synced_version == 5
        declare(replace=True, path="/again")
        tables.absorb("t", 5, order)
        assert tables.windows("t") == {"k": newer}


def test_what_is_gone_stays_gone_for_who_is_late(tables, declare, window):
    declare()
    tables.absorb("t", 3, [window("a", 2), window("b", 3)])
    tables.absorb("t", 6, [window("c", 6)], gone=["a", "b", "never"])
    assert list(tables.windows("t")) == ["c"]
    tables.absorb("t", 5, [window("a", 4), window("b", 3), window("never", 5)])
    assert list(tables.windows("t")) == ["c"]
    tables.absorb("t", 7, [window("a", 7)])
    assert list(tables.windows("t")) == ["a", "c"]
    tables.absorb("t", 6, [], gone=["a"])
    assert list(tables.windows("t")) == ["a", "c"]


def test_what_is_published_and_gone_is_there(tables, declare, window):
    declare()
    tables.absorb("t", 3, [window("a", 2), window("b", 3)])
    tables.absorb("t", 4, [window("a", 4)], gone={"a", "b"})
    assert list(tables.windows("t")) == ["a"]


def test_other_tables_have_windows_of_the_same_key(tables, declare, window):
    for name in ("one", "two"):
        declare(name)
        tables.absorb(name, 1, [window("k", 1, run_id=name)])
    tables.absorb("one", 2, [], gone=["k"])
    assert tables.windows("one") == {}
    assert tables.windows("two")["k"].run_id == "two"


def test_absorbing_finishes_the_runs_that_published(tables, declare, window, run):
    declare()
    ended = datetime.now(UTC) - timedelta(hours=1)
    tables.begin_run(run("run-a", error="it was lost", outcome="failed", finished_at=ended))
    tables.begin_run(run("run-b"))
    tables.begin_run(run("run-c"))
    tables.absorb("t", 4, [window("a", 3), window("b", 4)])
    a, b, c = sorted(tables.runs("t"), key=lambda one: one.run_id)
    assert (a.outcome, a.commit_version, a.rows_out, a.finished_at, a.error) == ("published", 3, 10, ended, None)
    assert (b.outcome, b.commit_version, b.finished_at) == ("published", 4, window("b", 4).published_at)
    assert (c.outcome, c.commit_version, c.finished_at) == ("running", None, None)


def test_a_run_is_finished_by_a_commit_that_is_no_news(tables, declare, window, run):
    declare()
    tables.absorb("t", 9, [window("k", 9)])
    tables.begin_run(run("late", outcome="failed"))
    tables.absorb("t", 5, [window("k", 5, run_id="late", rows=7)])
    assert [(one.outcome, one.commit_version, one.rows_out) for one in tables.runs("t")] == [("published", 5, 7)]
    assert tables.windows("t")["k"].commit_version == 9


def test_what_is_no_json_changes_nothing(tables, declare, window):
    declare()
    with pytest.raises(TypeError):
        tables.absorb("t", 1, [window("k", 1), window("l", 1, versions={"f": object()})], gone=["m"])
    assert tables.windows("t") == {}
    assert tables.get("t").synced_version == -1


def test_a_thousand_windows_are_absorbed_quickly(tables, declare, window, run):
    declare()
    many = [window(f"{number:04}", number) for number in range(1_000)]
    for one in many[::100]:
        tables.begin_run(run(one.run_id))
    started = time.perf_counter()
    tables.absorb("t", 999, many)
    tables.absorb("t", 2_000, [replace(one, commit_version=2_000) for one in many], gone=["0001"])
    assert len(tables.windows("t")) == 1_000
    assert time.perf_counter() - started < 2
    assert {one.outcome for one in tables.runs("t")} == {"published"}
