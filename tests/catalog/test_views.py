"""The catalog as Arrow tables."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa

from sqlml.catalog import Proof
from sqlml.catalog.views import SCHEMAS

DESCRIPTION = {
    "kind": "classifier",
    "flavour": "sklearn",
    "label": "late",
    "classes": [False, 1, "maybe"],
    "returns_sql": "BOOLEAN",
    "arguments": [
        {"name": "distance", "type": "DOUBLE", "required": True},
        {"name": "Carrier", "type": "VARCHAR", "required": False},
    ],
}


def test_views_are_typed_without_rows(catalog):
    tables = catalog.tables()
    assert list(tables) == [
        *("functions", "versions", "alias_history", "proofs"),
        *("prediction_tables", "windows", "refreshes", "runs"),
    ]
    for name, table in tables.items():
        assert table.num_rows == 0
        assert table.schema == SCHEMAS[name]
    moment = pa.timestamp("us", tz="UTC")
    assert tables["functions"].schema.field("created_at").type == moment
    assert tables["functions"].schema.field("arguments").type == pa.list_(
        pa.struct([("name", pa.string()), ("type", pa.string()), ("required", pa.bool_())])
    )
    types = {name: tables["runs"].schema.field(name).type for name in tables["runs"].schema.names}
    assert types == {
        **dict.fromkeys(("run_id", "refresh_id", "table_name", "window_key", "window_from", "window_to"), pa.string()),
        **dict.fromkeys(("outcome", "engine", "versions", "audits", "published_by", "error"), pa.string()),
        **dict.fromkeys(("number", "rows_in", "rows_out", "files", "bytes", "commit_version"), pa.int64()),
        **dict.fromkeys(("started_at", "finished_at"), moment),
        "seconds": pa.float64(),
    }
    assert tables["prediction_tables"].schema.field("needs_full").type == pa.bool_()
    assert tables["refreshes"].schema.field("scheduled_for").type == moment
    assert tables["windows"].schema.field("rows").type == pa.int64()


def test_functions_show_the_version_behind_them(catalog, add, put):
    put("Risk", add("3", description=DESCRIPTION), comment="c", file="udfs/risk.sql")
    table = catalog.tables()["functions"]
    assert table.schema == SCHEMAS["functions"]
    (row,) = table.to_pylist()
    function = catalog.snapshot().function("risk")
    assert row == {
        "name": "Risk",
        "reference": "models:/delay@champion",
        "model": "delay",
        "version": "3",
        "alias": "champion",
        "kind": "classifier",
        "returns": "BOOLEAN",
        "arguments": DESCRIPTION["arguments"],
        "strategy": "auto",
        "on_null": "propagate",
        "comment": "c",
        "file": "udfs/risk.sql",
        "created_at": function.created_at,
        "updated_at": function.updated_at,
    }


def test_versions_show_their_description(catalog, add):
    add("3", description=DESCRIPTION)
    add("4", description={})
    first, second = catalog.tables()["versions"].to_pylist()
    assert first["classes"] == ["false", "1", "maybe"]
    assert (first["flavour"], first["kind"], first["label"], first["returns"]) == (
        "sklearn",
        "classifier",
        "late",
        "BOOLEAN",
    )
    assert {second[name] for name in ("flavour", "kind", "label", "returns", "classes")} == {None}
    assert (second["id"], second["run_id"], second["registry"]) == (2, "r1", "sqlite:///mlflow.db")


def test_history_shows_where_an_alias_was_before(catalog, add):
    for version in ("1", "2"):
        catalog.move_alias("delay", "champion", add(version))
    first, second = catalog.tables()["alias_history"].to_pylist()
    assert (first["version"], first["previous"]) == ("1", None)
    assert (second["version"], second["previous"]) == ("2", "1")
    assert first["seen_at"] < second["seen_at"] <= datetime.now(UTC)


def test_proofs_take_numpy_numbers_and_what_is_no_number(catalog, add):
    add(proofs=[Proof("sql", np.int64(5), np.int32(1), np.float64("nan"), math.inf, 0.25, np.bool_(False), "far")])
    (row,) = catalog.tables()["proofs"].to_pylist()
    assert row.pop("proved_at") <= datetime.now(UTC)
    assert row == {
        "model": "delay",
        "version": "1",
        "strategy": "sql",
        "rows": 5,
        "label_mismatches": 1,
        "max_absolute": None,
        "max_relative": math.inf,
        "seconds": 0.25,
        "accepted": False,
        "reason": "far",
    }


EAST = datetime(2013, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=1)))


def test_a_run_is_shown_as_it_was_recorded(catalog, run):
    versions, audits = {"f": {"version": "3"}}, [{"rule": "min_rows(1)", "passed": True}]
    catalog.predictions.begin_run(run("a", started_at=EAST, versions=versions, audits=audits, rows_out=2**40))
    (shown,) = catalog.tables()["runs"].to_pylist()
    assert (shown["started_at"], shown["started_at"].utcoffset()) == (EAST, timedelta(0))
    assert (shown["finished_at"], shown["rows_out"], shown["window_from"]) == (None, 2**40, "1")
    assert (json.loads(shown["versions"]), json.loads(shown["audits"])) == (versions, audits)


def test_a_table_is_shown_with_what_is_published_of_it(catalog, declare, window, refresh):
    declare("Daily", file="tables/daily.sql")
    catalog.predictions.absorb("daily", 3, [window("a", 2), window("b", 3)])
    catalog.predictions.absorb("daily", 4, [], gone=["a"])
    catalog.predictions.begin_refresh(refresh("r", table_name="daily", scheduled_for=EAST, windows=4))
    tables = catalog.tables()
    (table,) = tables["prediction_tables"].to_pylist()
    assert (table["name"], table["file"], table["synced_version"], table["needs_full"]) == (
        "Daily",
        "tables/daily.sql",
        4,
        False,
    )
    (shown,) = tables["windows"].to_pylist()
    assert (shown["table_name"], shown["window_key"], shown["commit_version"], shown["rows"]) == ("Daily", "b", 3, 10)
    assert json.loads(shown["versions"]) == {"f": {"version": "3"}}
    (begun,) = tables["refreshes"].to_pylist()
    assert (begun["table_name"], begun["scheduled_for"], begun["windows"], begun["pid"]) == ("Daily", EAST, 4, 7)
