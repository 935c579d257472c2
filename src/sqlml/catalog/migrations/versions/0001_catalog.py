"""The first tables: functions, versions, alias history, proofs, trust, prediction tables, runs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    _state()
    op.create_table(
        "versions",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("registry", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("run_id", sa.String),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("manifest", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_versions"),
        sa.UniqueConstraint("registry", "model", "version", "digest", name="uq_versions_registry_model_version_digest"),
    )
    op.create_table(
        "functions",
        sa.Column("key", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("reference", sa.String, nullable=False),
        sa.Column("alias", sa.String),
        sa.Column("on_null", sa.String, nullable=False),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column("comment", sa.Text),
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_functions"),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_functions_version_id"),
    )
    op.create_table(
        "alias_history",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("alias", sa.String, nullable=False),
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("previous_id", sa.Integer),
        sa.Column("seen_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alias_history"),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_alias_history_version_id"),
        sa.ForeignKeyConstraint(["previous_id"], ["versions.id"], name="fk_alias_history_previous_id"),
    )
    op.create_index("ix_alias_history_model_alias", "alias_history", ["model", "alias"])
    _proofs(moment)
    _trusted(moment)
    _prediction_tables(moment)


def _state() -> None:
    state = op.create_table(
        "catalog_state",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_catalog_state"),
        sa.CheckConstraint("id = 1", name="ck_catalog_state_one_row"),
    )
    op.bulk_insert(state, [{"id": 1, "revision": 0}])


def _proofs(moment: sa.DateTime) -> None:
    op.create_table(
        "proofs",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("label_mismatches", sa.BigInteger, nullable=False),
        sa.Column("max_absolute", sa.Float(53)),
        sa.Column("max_relative", sa.Float(53)),
        sa.Column("seconds", sa.Float(53)),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("proved_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_proofs"),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_proofs_version_id"),
    )
    op.create_index("ix_proofs_version_id", "proofs", ["version_id"])


def _trusted(moment: sa.DateTime) -> None:
    op.create_table(
        "trusted",
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("trusted_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_trusted"),
    )


def _prediction_tables(moment: sa.DateTime) -> None:
    op.create_table(
        "prediction_tables",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("schedule", sa.String),
        sa.Column("engine", sa.String, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_prediction_tables"),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("table_name", sa.String, nullable=False),
        sa.Column("window_from", sa.String),
        sa.Column("window_to", sa.String),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("finished_at", moment),
        sa.Column("outcome", sa.String),
        sa.Column("rows_out", sa.BigInteger),
        sa.Column("engine", sa.String, nullable=False),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
    )
    op.create_index("ix_runs_table_name_started_at", "runs", ["table_name", "started_at"])
