"""What each change does to the catalog, and to nothing else."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from sqlml.catalog import Catalog, Function, Proof, Snapshot
from sqlml.errors import FunctionExists, UnknownFunction


def history(catalog: Catalog) -> list[tuple[Any, ...]]:
    rows = catalog.tables()["alias_history"].to_pylist()
    return [(row["model"], row["alias"], row["version"], row["previous"]) for row in rows]


def test_a_new_catalog_is_empty(catalog):
    assert catalog.snapshot() == Snapshot(0, {}, {}, {})


def test_a_function_comes_back_as_it_was_put(catalog, add, put):
    before = datetime.now(UTC)
    version_id = add()
    assert put("Delay_Risk", version_id, comment="it's; DROP TABLE functions --", on_null="pass")
    function = catalog.snapshot().function("delay_risk")
    assert function == Function(
        name="Delay_Risk",
        reference="models:/delay@champion",
        alias="champion",
        on_null="pass",
        strategy="auto",
        comment="it's; DROP TABLE functions --",
        version_id=version_id,
        created_at=function.created_at,
        updated_at=function.created_at,
    )
    assert before <= function.created_at <= datetime.now(UTC)
    assert function.created_at.tzinfo is UTC


def test_a_version_comes_back_as_it_was_added(catalog, add):
    description = {"kind": "classifier", "classes": ["é", "\x00", "\ud800"], "nested": {"a": [1, None]}}
    version_id = add(description=description, manifest={"a/b": "c"}, run_id=None)
    version = catalog.snapshot().versions[version_id]
    assert (version.model, version.version, version.registry, version.digest) == (
        "delay",
        "1",
        "sqlite:///mlflow.db",
        "d1",
    )
    assert version.description == description
    assert version.manifest == {"a/b": "c"}
    assert version.run_id is None
    assert version.created_at.tzinfo is UTC


def test_names_are_the_same_in_any_case(catalog, add, put):
    version_id = add()
    put("Straße", version_id)
    with pytest.raises(FunctionExists, match="'Straße'"):
        put("STRASSE", version_id)
    assert put("STRASSE", version_id, replace=True)
    assert [function.name for function in catalog.snapshot().functions.values()] == ["STRASSE"]
    assert list(catalog.snapshot().functions) == ["strasse"]
    catalog.drop_function("strAsse")
    assert catalog.snapshot().functions == {}


def test_replacing_keeps_when_it_was_made(catalog, add, put):
    put("f", add())
    first = catalog.snapshot().function("f")
    assert put("f", first.version_id, replace=True, comment="new")
    second = catalog.snapshot().function("f")
    assert second.created_at == first.created_at
    assert second.updated_at > first.updated_at
    assert second.comment == "new"


def test_replacing_with_the_same_changes_nothing(catalog, add, put):
    version_id = add()
    put("f", version_id)
    before = catalog.snapshot()
    assert not put("f", version_id, replace=True)
    assert catalog.snapshot() is before


def test_a_refused_function_leaves_nothing(catalog, add, put):
    put("f", add())
    second = add("2")
    before = catalog.snapshot()
    with pytest.raises(FunctionExists):
        put("f", second)
    with pytest.raises(ValueError, match="no version 99"):
        put("g", 99)
    assert catalog.snapshot() is before
    assert history(catalog) == [("delay", "champion", "1", None)]


def test_putting_a_function_moves_the_others_that_follow(catalog, add, put):
    first = add()
    put("a", first)
    put("other_alias", first, alias="challenger")
    put("pinned", first, alias=None, reference="models:/delay/1")
    put("other_model", add(model="else"), reference="models:/else@champion")
    second = add("2")
    put("b", second)
    at = {name: function.version_id for name, function in catalog.snapshot().functions.items()}
    assert (at["a"], at["b"]) == (second, second)
    assert (at["other_alias"], at["pinned"]) == (first, first)
    assert at["other_model"] not in (first, second)
    assert history(catalog) == [
        ("delay", "champion", "1", None),
        ("delay", "challenger", "1", None),
        ("else", "champion", "1", None),
        ("delay", "champion", "2", "1"),
    ]


def test_an_alias_takes_its_functions_along(catalog, add, put):
    first, second = add(), add("2")
    put("b", first)
    put("A", first)
    put("pinned", first, alias=None)
    assert catalog.move_alias("delay", "champion", second) == ["A", "b"]
    snapshot = catalog.snapshot()
    assert snapshot.aliases == {("delay", "champion"): second}
    assert snapshot.function("a").version_id == snapshot.function("b").version_id == second
    assert snapshot.function("a").updated_at > snapshot.function("a").created_at
    assert snapshot.function("pinned").version_id == first


def test_an_alias_that_stays_is_no_change(catalog, add, put):
    version_id = add()
    put("f", version_id)
    before = catalog.snapshot()
    assert catalog.move_alias("delay", "champion", version_id) == []
    assert catalog.snapshot() is before


def test_history_only_grows(catalog, add):
    first, second = add(), add("2")
    for version_id in (first, second, second, first):
        assert catalog.move_alias("delay", "champion", version_id) == []
    assert history(catalog) == [
        ("delay", "champion", "1", None),
        ("delay", "champion", "2", "1"),
        ("delay", "champion", "1", "2"),
    ]
    assert catalog.snapshot().aliases == {("delay", "champion"): first}


def test_an_alias_cannot_point_at_another_model(catalog, add):
    with pytest.raises(ValueError, match="'else'"):
        catalog.move_alias("delay", "champion", add(model="else"))
    with pytest.raises(ValueError, match="no version 99"):
        catalog.move_alias("delay", "champion", 99)
    assert history(catalog) == []


def test_the_same_version_again_is_described_anew(catalog, add):
    first = add()
    again = add(description={"kind": "classifier"}, proofs=[Proof("sql", 9, 0, 0.0, 0.0, 0.1, False, "no")] * 2)
    assert again == first
    assert catalog.snapshot().versions[first].description == {"kind": "classifier"}
    assert [row["strategy"] for row in catalog.tables()["proofs"].to_pylist()] == ["sql", "sql"]


@pytest.mark.parametrize("field", ["registry", "model", "version", "digest"])
def test_a_version_is_another_one_by_each_part_of_its_key(catalog, add, field):
    assert add(**{field: "other"}) != add()
    assert len(catalog.snapshot().versions) == 2


def test_the_newest_of_a_named_version(catalog, add):
    add(digest="old")
    newest = add(digest="new")
    add("2")
    found = catalog.snapshot().version_named("delay", "1")
    assert found is not None
    assert found.id == newest
    assert catalog.snapshot().version_named("delay", "7") is None


def test_what_is_no_json_changes_nothing(catalog, add):
    with pytest.raises(TypeError):
        add(description={"kind": object()})
    assert catalog.revision() == 0


def test_a_proof_that_is_refused_takes_its_version_along(catalog, add):
    with pytest.raises(ValueError, match="many"):
        add(proofs=[Proof("python", "many", 0, 0.0, 0.0, 0.0, True, None)])
    assert catalog.snapshot() == Snapshot(0, {}, {}, {})


def test_dropping_keeps_versions_and_history(catalog, add, put):
    put("delay_risk", add())
    catalog.drop_function("DELAY_RISK")
    assert catalog.snapshot().functions == {}
    assert len(catalog.snapshot().versions) == 1
    assert history(catalog) == [("delay", "champion", "1", None)]


def test_an_unknown_function_names_the_nearest(catalog, add, put):
    put("delay_risk", add())
    for look in (catalog.drop_function, lambda name: catalog.snapshot().function(name)):
        with pytest.raises(UnknownFunction, match=r"'dealy_risk'\. Did you mean 'delay_risk'"):
            look("dealy_risk")


def test_trust_is_by_hash_and_stays(catalog):
    assert not catalog.is_trusted("abc")
    catalog.trust("abc", "our own")
    revision = catalog.revision()
    catalog.trust("abc", "again")
    assert catalog.is_trusted("abc")
    assert not catalog.is_trusted("ABC")
    assert catalog.revision() == revision


def test_every_change_raises_the_revision(catalog, add, put):
    changes: list[Callable[[], Any]] = [
        add,
        lambda: put("f", 1),
        lambda: add("2"),
        lambda: catalog.move_alias("delay", "champion", 2),
        lambda: catalog.trust("abc", "why"),
        lambda: catalog.drop_function("f"),
    ]
    for change in changes:
        before = catalog.revision()
        change()
        assert catalog.revision() == before + 1


def test_a_snapshot_is_the_same_object_until_something_changes(catalog, add):
    before = catalog.snapshot()
    assert catalog.snapshot() is before
    add()
    assert catalog.snapshot() is not before
    assert before.versions == {}


def test_a_function_knows_the_file_that_declares_it(catalog, add, put):
    put("f", add(), file="functions/f.sql")
    assert catalog.snapshot().function("f").file == "functions/f.sql"
    assert not put("f", 1, file="functions/f.sql", replace=True)
    assert put("f", 1, replace=True)
    assert catalog.snapshot().function("f").file is None


def test_another_catalog_on_the_same_database_sees_changes(catalog, add, put, url):
    with Catalog.open(url) as other:
        assert other.snapshot().functions == {}
        put("f", add())
        assert list(other.snapshot().functions) == ["f"]
        other.drop_function("f")
        assert catalog.snapshot().functions == {}


def test_memory_is_shared_by_threads():
    with Catalog.open("sqlite://") as catalog:

        def work(number: int) -> None:
            for _ in range(10):
                catalog.trust(f"{number}", "")
                catalog.add_version(
                    model=f"m{number}",
                    version="1",
                    run_id=None,
                    registry="",
                    digest="",
                    manifest={},
                    description={},
                    proofs=[],
                )
                assert catalog.snapshot().version_named(f"m{number}", "1")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(catalog.snapshot().versions) == 8
        assert catalog.revision() == 8 + 80


def test_two_catalogs_in_memory_are_apart():
    with Catalog.open("sqlite://") as one, Catalog.open("sqlite:///:memory:") as other:
        one.trust("abc", "")
        assert not other.is_trusted("abc")
