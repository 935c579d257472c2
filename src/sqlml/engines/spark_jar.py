"""A jar of functions that Spark calls without Python: compiled in the driver's JVM by the compiler that Spark ships."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError

from sqlml.programs.java import JavaSource, NoJava, catalog_of

_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_jar(spark: Any, catalog_class: str, functions: Mapping[str, JavaSource], path: Path) -> None:
    """Write functions and the catalog that knows them by their names, by rename: Spark may hold the file open.

    `ADD JAR <path>` and `spark.sql.catalog.<name> = <catalog_class>` then make `SELECT <name>.<function>(...)` work.
    The same functions give the same bytes.

    Args:
        spark: a classic session, whose JVM compiles.
        catalog_class: the full name that the catalog's class gets.
        functions: the classes by their names in SQL.
        path: the jar.

    Raises:
        NoJava: the compiler refuses a class, or the catalog's name is none.
    """
    sources = {java.class_name: java for java in (*functions.values(), catalog_of(catalog_class, functions))}
    held = {name: data for java in sources.values() for name, data in java.resources.items()}
    held.update(compiled(spark, sources.values()))
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_bytes(_zipped(held))
    scratch.replace(path)


def compiled(spark: Any, sources: Iterable[JavaSource]) -> dict[str, bytes]:
    """The classes of some sources, by their paths in a jar.

    Raises:
        NoJava: the compiler refuses one.
    """
    jvm = spark._jvm
    found: dict[str, bytes] = {}
    for java in sources:
        compiler = jvm.org.codehaus.janino.SimpleCompiler()
        compiler.setParentClassLoader(spark._jsparkSession.getClass().getClassLoader())
        try:
            compiler.cook(java.source)
        except Py4JJavaError as error:
            raise NoJava(f"Spark's compiler refused it: {error.java_exception.getMessage()}") from error
        for name, data in compiler.getBytecodes().items():
            found[f"{name.replace('.', '/')}.class"] = bytes(data)
    return found


def _zipped(files: Mapping[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            # The time is part of the bytes.
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return held.getvalue()
