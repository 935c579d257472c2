"""The catalog as Arrow tables."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from sqlml.catalog import Proof
from sqlml.catalog.schema import prediction_tables, runs
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
    assert list(tables) == ["functions", "versions", "alias_history", "proofs", "prediction_tables", "runs"]
    for name, table in tables.items():
        assert table.num_rows == 0
        assert table.schema == SCHEMAS[name]
    moment = pa.timestamp("us", tz="UTC")
    assert tables["functions"].schema.field("created_at").type == moment
    assert tables["functions"].schema.field("arguments").type == pa.list_(
        pa.struct([("name", pa.string()), ("type", pa.string()), ("required", pa.bool_())])
    )
    assert tables["runs"].schema.names == [
        *("run_id", "table_name", "window_from", "window_to", "started_at", "finished_at"),
        *("outcome", "rows_out", "engine", "error"),
    ]


def test_functions_show_the_version_behind_them(catalog, add, put):
    put("Risk", add("3", description=DESCRIPTION), comment="c")
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


def test_runs_and_prediction_tables_are_shown_in_utc(catalog):
    east = datetime(2013, 1, 2, 3, 4, 5, 678901, tzinfo=UTC) + timedelta(hours=1)
    with catalog._database.writing() as connection:
        connection.execute(
            prediction_tables.insert().values(
                name="t", query="SELECT 1", engine="duckdb", created_at=east, updated_at=east
            )
        )
        connection.execute(
            runs.insert().values(
                run_id="r", table_name="t", window_from="1", started_at=east, engine="duckdb", rows_out=2**40
            )
        )
    tables = catalog.tables()
    assert tables["prediction_tables"].to_pylist()[0]["created_at"] == east
    (run,) = tables["runs"].to_pylist()
    assert (run["started_at"], run["finished_at"], run["rows_out"], run["window_from"]) == (east, None, 2**40, "1")
