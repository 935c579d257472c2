"""Opening a catalog: new, old, newer, not there, not ours."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url, text

from sqlml.catalog import Catalog
from sqlml.catalog import database as database_module
from sqlml.catalog.schema import REVISION, metadata
from sqlml.errors import CatalogFromNewerVersion, CatalogUnreachable


def run(url: str, statement: str) -> None:
    if path := make_url(url).database:
        Path(path).parent.mkdir(exist_ok=True)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def refused(url: str) -> str:
    with pytest.raises(CatalogUnreachable) as caught:
        Catalog.open(url)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_migrations_make_the_tables_that_the_code_knows(catalog):
    with catalog._database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_the_revision_in_the_code_is_the_last_migration():
    folder = Path(database_module.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == REVISION


def test_a_catalog_is_made_in_its_folder_and_stays(sqlite_url, tmp_path):
    with Catalog.open(sqlite_url) as catalog:
        catalog.trust("abc", "")
    assert (tmp_path / "state" / "catalog.db").is_file()
    with Catalog.open(sqlite_url) as catalog:
        assert catalog.is_trusted("abc")


def test_a_path_may_hold_a_percent_sign(tmp_path):
    with Catalog.open(f"sqlite:///{tmp_path}/100%/c.db") as catalog:
        assert catalog.revision() == 0
    assert (tmp_path / "100%" / "c.db").is_file()


def test_a_sqlite_file_is_set_up(sqlite_url):
    with Catalog.open(sqlite_url) as catalog, catalog._database.reading() as connection:
        pragmas = [
            connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "busy_timeout", "foreign_keys")
        ]
        assert pragmas == ["wal", 30_000, 1]


def test_a_reader_sees_one_moment(url):
    with Catalog.open(url) as reader, Catalog.open(url) as writer:
        question = text("SELECT count(*) FROM trusted")
        with reader._database.reading() as connection:
            assert connection.scalar(question) == 0
            writer.trust("abc", "")
            assert connection.scalar(question) == 0
        with reader._database.reading() as connection:
            assert connection.scalar(question) == 1


def test_reading_what_is_up_to_date_imports_nothing_heavy(sqlite_url):
    Catalog.open(sqlite_url).close()
    script = (
        "import sys; from sqlml.catalog import Catalog; catalog = Catalog.open(sys.argv[1]);"
        "catalog.snapshot(); catalog.tables();"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'alembic', 'mako', 'mlflow', 'pandas'}))"
    )
    done = subprocess.run([sys.executable, "-c", script, sqlite_url], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_newer_catalog_is_refused(catalog, url):
    run(url, "UPDATE alembic_version SET version_num = 'f00'")
    with pytest.raises(CatalogFromNewerVersion, match="revision 'f00'"):
        Catalog.open(url)


def test_another_program_s_database_is_left_alone(url):
    run(url, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    run(url, "INSERT INTO alembic_version VALUES ('f00')")
    assert "(it holds the tables of another program)" in refused(url)


def test_a_migration_that_fails_leaves_nothing(url):
    # `runs` is the last of the tables that the first migration makes.
    run(url, "CREATE TABLE runs (theirs INTEGER)")
    assert "runs" in refused(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_heads() == ()
        assert not engine.dialect.has_table(connection, "functions")
    engine.dispose()


OLD = [
    "INSERT INTO versions VALUES (1, 'r', 'delay', '3', NULL, 'd', '{}', '{\"kind\": \"regressor\"}', "
    "'2013-01-02 03:04:05')",
    "INSERT INTO functions VALUES ('risk', 'Risk', 'models:/delay@champion', 'champion', 'propagate', 'auto', 'c', 1, "
    "'2013-01-02 03:04:05', '2013-01-03 03:04:05')",
    "INSERT INTO alias_history VALUES (1, 'delay', 'champion', 1, NULL, '2013-01-02 03:04:05')",
    "INSERT INTO trusted VALUES ('abc', 'ours', '2013-01-02 03:04:05')",
    "UPDATE catalog_state SET revision = 41",
]


def of_old(url: str) -> None:
    """Make a catalog as the first migration left it, with a function in it."""
    config = Config()
    config.set_main_option("script_location", str(Path(database_module.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    if path := make_url(url).database:
        Path(path).parent.mkdir(exist_ok=True)
    engine = create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in OLD:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_catalog_of_before_the_prediction_tables_loses_nothing(url):
    of_old(url)
    with Catalog.open(url) as catalog:
        function = catalog.snapshot().function("risk")
        assert (function.name, function.alias, function.comment, function.file) == ("Risk", "champion", "c", None)
        assert catalog.snapshot().versions[1].description == {"kind": "regressor"}
        assert catalog.snapshot().aliases == {("delay", "champion"): 1}
        assert catalog.is_trusted("abc")
        assert catalog.activity() == (41, 0)
        assert catalog.predictions.all() == []
        with catalog._database.reading() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []


def test_a_second_migration_that_fails_leaves_the_catalog_as_it_was(url):
    of_old(url)
    run(url, "CREATE TABLE table_locks (theirs INTEGER)")
    assert "table_locks" in refused(url)
    run(url, "DROP TABLE table_locks")
    with Catalog.open(url) as catalog:
        assert list(catalog.snapshot().functions) == ["risk"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    assert "directory" in refused(f"sqlite:///{tmp_path}/file/sub/c.db").lower()


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "c.db").write_text("nothing of the kind " * 100)
    assert "(file is not a database)" in refused(f"sqlite:///{tmp_path}/c.db")


def test_a_folder_for_a_file(tmp_path):
    assert "(unable to open database file)" in refused(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://host:port/db?password=hunter2", "it is no SQLAlchemy URL"),
        ("nonsense:hunter2@host", "it is no SQLAlchemy URL"),
        ("postgresql://ann:hunter2@host:port/db", "it is no SQLAlchemy URL"),
        ("oracel://ann:hunter2@host/db", "oracel"),
        ("sqlite+nothing:///x.db?password=hunter2", "nothing"),
    ],
)
def test_a_wrong_url_is_said_without_its_password(url, reason):
    message = refused(url)
    assert reason in message
    assert "hunter2" not in message


def test_a_server_that_is_not_there():
    def connect():
        # With the password in the driver's message, to make it worse.
        raise sqlite3.OperationalError("no route for ann:hunter2.\nIs the server running?\n")

    engine = create_engine("sqlite://", creator=connect)
    engine.url = make_url("postgresql://ann:hunter2@host/db")
    with pytest.raises(CatalogUnreachable) as caught, database_module.Database(engine).reading():
        pass
    assert "(no route for ann:***. Is the server running?)" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_what_fails_later_is_told_in_the_same_way(catalog, url):
    run(url, "DROP TABLE trusted")
    with pytest.raises(CatalogUnreachable, match="trusted"):
        catalog.is_trusted("abc")


def test_the_repr_names_the_database(catalog):
    assert repr(catalog) == f"Catalog({catalog._database.shown!r})"
