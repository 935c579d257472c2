"""A prediction table is written: which windows are due, and how one gets into the table, whole or not at all."""
