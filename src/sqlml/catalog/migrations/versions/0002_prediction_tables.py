"""Prediction tables with their windows, refreshes, runs and locks; the file that declares a function."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.add_column("catalog_state", sa.Column("activity", sa.Integer, nullable=False, server_default="0"))
    op.add_column("functions", sa.Column("file", sa.String))
    # Nothing ever wrote to these two.
    op.drop_table("runs")
    op.drop_table("prediction_tables")
    _prediction_tables(moment)
    _table_windows(moment)
    _refreshes(moment)
    _runs(moment)
    op.create_table(
        "table_locks",
        sa.Column("table_key", sa.String, nullable=False),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("held_until", moment, nullable=False),
        sa.PrimaryKeyConstraint("table_key", name="pk_table_locks"),
    )


def _prediction_tables(moment: sa.DateTime) -> None:
    op.create_table(
        "prediction_tables",
        sa.Column("key", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("dialect", sa.String, nullable=False),
        sa.Column("engine", sa.String),
        sa.Column("schedule", sa.String),
        sa.Column("zone", sa.String),
        sa.Column("file", sa.String),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("synced_version", sa.BigInteger, nullable=False),
        sa.Column("needs_full", sa.Boolean, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_prediction_tables"),
    )


def _table_windows(moment: sa.DateTime) -> None:
    op.create_table(
        "table_windows",
        sa.Column("table_key", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("window_from", sa.String),
        sa.Column("window_to", sa.String),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("commit_version", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("query_hash", sa.String, nullable=False),
        sa.Column("versions", sa.Text, nullable=False),
        sa.Column("published_at", moment, nullable=False),
        sa.Column("gone", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("table_key", "key", name="pk_table_windows"),
        sa.ForeignKeyConstraint(["table_key"], ["prediction_tables.key"], name="fk_table_windows_table_key"),
    )


def _refreshes(moment: sa.DateTime) -> None:
    op.create_table(
        "refreshes",
        sa.Column("refresh_id", sa.String, nullable=False),
        sa.Column("table_key", sa.String, nullable=False),
        sa.Column("table_name", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("range_from", sa.String),
        sa.Column("range_to", sa.String),
        sa.Column("scheduled_for", moment),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("windows", sa.Integer, nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("finished_at", moment),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("heartbeat_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("refresh_id", name="pk_refreshes"),
        sa.UniqueConstraint(
            "table_key", "scheduled_for", "attempt", name="uq_refreshes_table_key_scheduled_for_attempt"
        ),
    )
    op.create_index("ix_refreshes_table_key_started_at", "refreshes", ["table_key", "started_at"])


def _runs(moment: sa.DateTime) -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("refresh_id", sa.String, nullable=False),
        sa.Column("table_key", sa.String, nullable=False),
        sa.Column("table_name", sa.String, nullable=False),
        sa.Column("window_key", sa.String, nullable=False),
        sa.Column("window_from", sa.String),
        sa.Column("window_to", sa.String),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("finished_at", moment),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("rows_in", sa.BigInteger),
        sa.Column("rows_out", sa.BigInteger),
        sa.Column("files", sa.BigInteger),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("seconds", sa.Float(53)),
        sa.Column("engine", sa.String, nullable=False),
        sa.Column("versions", sa.Text, nullable=False),
        sa.Column("audits", sa.Text, nullable=False),
        sa.Column("commit_version", sa.BigInteger),
        sa.Column("published_by", sa.String),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
    )
    op.create_index("ix_runs_refresh_id", "runs", ["refresh_id"])
    op.create_index("ix_runs_table_key_started_at", "runs", ["table_key", "started_at"])
