"""A function by which Spark looks, when a query begins, whether files are still those that it was planned for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pyspark

from sqlml.engines.spark_footers import File, Folder
from sqlml.engines.spark_jar import write_jar
from sqlml.programs.java import ONCE, JavaSource
from sqlml.programs.objects import cache_folder
from sqlml.query.text import literal

CLASS = "org.sqlml.files.Unchanged"
_CATALOG = "org.sqlml.files.Catalog"
_NAME = "sqlml_files"


class Unchanged:
    """The function of one session, made when it is first needed."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._there = False

    def call(self, table: str, folders: Sequence[Folder], files: Sequence[File]) -> str:
        """A condition that is true while a table's folders and files are these, and an error after; raises NoJava."""
        if not self._there:
            digest = hashlib.sha256(f"{pyspark.__version__}\n{_SOURCE}".encode()).hexdigest()[:24]
            jar = cache_folder() / "jars" / f"{digest}.jar"
            if not jar.is_file():
                write_jar(self._session, _CATALOG, {"unchanged": JavaSource(CLASS, _SOURCE, {})}, jar)
            self._session.sql(f"ADD JAR {literal(str(jar), 'spark')}")
            self._session.conf.set(f"spark.sql.catalog.{_NAME}", _CATALOG)
            self._there = True
        there = [f"{folder.files} - {folder.path}" for folder in folders]
        held = "\n".join([table, *there, *(f"{file.size} {file.written} {file.path}" for file in files)])
        # A subquery is asked once a query, before a row is read; without VALUES it would be for each row.
        return f"(SELECT {_NAME}.{ONCE}.unchanged({literal(held, 'spark')}) FROM VALUES (1))"


_SOURCE = """
package org.sqlml.files;

import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.catalog.functions.BoundFunction;
import org.apache.spark.sql.connector.catalog.functions.ScalarFunction;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;

public final class Unchanged implements UnboundFunction, ScalarFunction {
    private final boolean once;

    public Unchanged(boolean once) { this.once = once; }

    public String name() { return "unchanged"; }

    public String canonicalName() { return "org.sqlml.files.Unchanged"; }

    public String description() { return "unchanged(files STRING)"; }

    public BoundFunction bind(StructType given) { return this; }

    public DataType[] inputTypes() { return new DataType[] {DataTypes.StringType}; }

    public DataType resultType() { return DataTypes.BooleanType; }

    public boolean isDeterministic() { return !once; }

    public static boolean invoke(UTF8String files) {
        String[] lines = files.toString().split("\\n");
        for (int i = 1; i < lines.length; i++) {
            String[] held = lines[i].split(" ", 3);
            java.io.File file = new java.io.File(held[2]);
            boolean same = held[1].equals("-")
                ? count(file) == Long.parseLong(held[0])
                : file.length() == Long.parseLong(held[0]) && file.lastModified() == Long.parseLong(held[1]);
            if (!same) {
                throw new IllegalArgumentException("sqlml.errors.EngineError: " + lines[0]
                    + " has changed since the statement was planned: run it again");
            }
        }
        return true;
    }

    private static long count(java.io.File folder) {
        java.io.File[] files = folder.listFiles();
        long found = 0;
        for (int i = 0; files != null && i < files.length; i++) {
            char first = files[i].getName().charAt(0);
            if (first != '.' && first != '_') found += files[i].isDirectory() ? count(files[i]) : 1;
        }
        return found;
    }

    public Object produceResult(InternalRow row) { return Boolean.valueOf(invoke(row.getUTF8String(0))); }
}
"""
