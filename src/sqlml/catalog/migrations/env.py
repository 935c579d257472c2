"""Run by Alembic, on the connection and inside the transaction that `sqlml.catalog.database` opened."""

from alembic import context

from sqlml.catalog.schema import metadata

# SQLite can alter little of a table in place: batch mode makes the table anew.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
