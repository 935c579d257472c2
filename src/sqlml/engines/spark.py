"""Spark: the engine of many machines, classic or by Spark Connect. It and its neighbours import pyspark alone."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql.functions import arrow_udf  # type: ignore[attr-defined]  # its stub lacks them
from pyspark.sql.pandas.types import from_arrow_type, to_arrow_schema
from pyspark.sql.types import (
    BooleanType,
    ByteType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    ShortType,
    StructType,
)

from sqlml.config import Settings
from sqlml.engines.duckdb import relation_of
from sqlml.engines.engine import Column, Engine, Files, Parameters, Profile, Refused, Written
from sqlml.engines.spark_facts import SparkFacts, kind_of
from sqlml.engines.spark_files import Job, job_of
from sqlml.engines.spark_files import answering as file_answering
from sqlml.engines.spark_jvm import JvmFunctions
from sqlml.engines.spark_profile import profile
from sqlml.engines.spark_proof import prove
from sqlml.engines.spark_session import open_session
from sqlml.engines.spark_tables import read_files, write_files
from sqlml.engines.spark_unchanged import Unchanged
from sqlml.engines.spark_worker import Inline, Sent, answering, generic
from sqlml.errors import BadSetting, EngineError, SqlmlError, restore
from sqlml.models.answering import Answerer
from sqlml.models.travelling import packed
from sqlml.programs.publish import Published, macro_body, spark_parameters
from sqlml.query.calls import SUFFIX_OF
from sqlml.query.rowlocal import NotRowLocal, row_local
from sqlml.query.spark_text import with_markers, with_views
from sqlml.query.text import identifier, literal, statements, tokenize
from sqlml.types import Output, output_type, result_type

CATALOG = "sqlml"
_AT_ONCE = 4
"""Functions that are published at a time."""
_tokens = itertools.count()
_GENERIC: Mapping[str, tuple[Output, pa.DataType]] = {
    "predict": ("predict", pa.float64()),
    "predict_score": ("score", pa.float64()),
    "predict_proba": ("proba", pa.map_(pa.string(), pa.float64())),
}
# Spark casts an argument to the declared type before the function sees it: 1.5 would be 1 for a BIGINT.
_PARAMETER: Mapping[str, str] = {
    "VARCHAR": "STRING",
    "BOOLEAN": "BOOLEAN",
    "BLOB": "BINARY",
    "TIMESTAMP": "TIMESTAMP_NTZ",
}
_EXACT = (BooleanType, ByteType, DoubleType, FloatType, IntegerType, ShortType)
_OURS = re.compile(
    r"sqlml\.errors\.(?P<name>\w+): (?P<message>.*?)(?=\n\s*\n|\n\s+at |\n SQLSTATE| SQLSTATE: P0001|\nTraceback |\Z)",
    re.DOTALL,
)
_RAISED = re.compile(r"\n(?P<error>[\w.]+(?:Error|Exception|Interrupt)(?:: [^\n]*)?)\s*(?:\n|\Z)")


class SparkEngine(Engine):
    """A SparkSession, made here or held by the user. Its cursors are the session itself, which threads may share."""

    name = "spark"
    dialect = "spark"
    publishes_any_time = True
    repeats = frozenset({"where", "having", "order"})

    def __init__(self, session: Any, *, owned: bool, main: SparkEngine | None = None) -> None:
        self.session = session
        self._owned = owned
        self._main = main
        self._token = hashlib.sha256(f"{id(session)}-{next(_tokens)}".encode()).hexdigest()[:6]
        self._names: set[str] = set() if main is None else main._names
        self._macros: set[str] = set() if main is None else main._macros
        self._sent: dict[str, Sent] = {} if main is None else main._sent
        self._sending: threading.Lock = threading.Lock() if main is None else main._sending
        self._refused: dict[str, str] = {} if main is None else main._refused
        self._calls: dict[str, tuple[Sent, tuple[Output, ...]]] = {} if main is None else main._calls
        self._jvm: JvmFunctions = JvmFunctions(session) if main is None else main._jvm
        self._unchanged: Unchanged | None = None if self.is_remote else Unchanged(session)
        self._catalog: dict[str, pa.Table] = {}
        self._shown: set[str] = set()
        self._views: set[str] = set() if main is None else main._views

    def __repr__(self) -> str:
        return f"<SparkEngine {'owned' if self._owned else 'held'}>"

    @classmethod
    def at(cls, settings: Settings, database: str | None = None) -> SparkEngine:
        """A session as `[spark]` of the settings says.

        Raises:
            BadSetting: a database file was given.
            JavaMissing: there is no Java to run it on.
            EngineError: it did not start.
        """
        if database is not None:
            raise BadSetting(key="target", value=database, reason="a database file is DuckDB's; this engine is Spark")
        session, owned = open_session(settings)
        return cls(session, owned=owned)

    @classmethod
    def over(cls, connection: Any, _settings: Settings) -> SparkEngine:
        """A session that the user holds, whose settings stay."""
        return cls(connection, owned=False)

    @property
    def is_remote(self) -> bool:
        """Whether it is a client of Spark Connect, which has no broadcast and no JVM of its own."""
        return "connect" in type(self.session).__module__

    def columns(self, query: str) -> Sequence[Column]:
        with self._mapped():
            schema = self.session.sql(self._readable(query)).schema
        return [
            Column(f.name, _fields_of(f.dataType), isinstance(f.dataType, _EXACT), kind_of(f.dataType), str(f.dataType))
            for f in schema
        ]

    def facts(self, table: str) -> SparkFacts:
        return SparkFacts(self.session, table, self._unchanged)

    def compares_texts_plainly(self) -> bool:
        # A column of another collation has another type.
        return True

    def schema(self, query: str) -> pa.Schema:
        with self._mapped():
            return to_arrow_schema(self.session.sql(self._readable(query)).schema, timezone="UTC")

    @property
    def has_jvm(self) -> bool:
        return not self.is_remote

    def register(
        self, answerer: Answerer, outputs: Sequence[Output], *, as_row: bool = False, once: bool = False
    ) -> str:
        alone = not as_row and len(outputs) == 1 and outputs[0] != "probs"
        if answerer.strategy == "jvm" and alone:
            return self._jvm.function(answerer, outputs[0], self.evaluate, once=once)
        if answerer.strategy == "sql" and alone:
            if once:
                raise Refused("Spark's optimizer moves an expression as it likes")
            name = self._expression(answerer, outputs[0])
        else:
            name = self._through_arrow(answerer, outputs, once=once)
        if not as_row:
            self._calls[name] = (self._send(answerer), tuple(outputs))
        return name

    def jar(self, answerer: Answerer, path: Path) -> list[str]:
        if self.is_remote:
            raise Refused("a client of Spark Connect has no JVM")
        return self._jvm.write(answerer, path, self.evaluate)

    def call(self, name: str, given: Sequence[str]) -> str:
        return self._jvm.call(name, given) or super().call(name, given)

    def calls_plainly(self, name: str) -> bool:
        return not self._jvm.has(name)

    def _through_arrow(self, answerer: Answerer, outputs: Sequence[Output], *, once: bool = False) -> str:
        name = self._hidden(answerer, "_".join(outputs) + ("_once" if once else ""))
        if name not in self._names:
            arrow, _ = result_type(outputs, answerer.description.returns, answerer.description.classes)
            self._create(name, answering(self._send(answerer), tuple(outputs)), arrow, once=once)
        return name

    def _hidden(self, answerer: Answerer, what: str) -> str:
        key = hashlib.sha256(answerer.key.encode()).hexdigest()[:8]
        # What Spark takes for a name without quotes is ASCII.
        shown = re.sub(r"\W", "", answerer.function, flags=re.ASCII)
        return f"__sqlml_{self._token}_{key}_{shown}_{what}".lower()

    def _create(self, name: str, answers: Callable[..., Any], result: pa.DataType, *, once: bool = False) -> None:
        type_ = from_arrow_type(result, prefer_timestamp_ntz=True)
        with self._mapped(), _without_pandas():
            function = arrow_udf(answers, type_)
            # What is not deterministic is neither copied nor moved.
            self.session.udf.register(name, function.asNondeterministic() if once else function)
        self._names.add(name)

    def _expression(self, answerer: Answerer, output: Output) -> str:
        """A SQL function of the program's expression, which Spark puts in the place of its call; proved before."""
        name = self._hidden(answerer, f"{output}_sql")
        if name in self._refused:
            raise Refused(self._refused[name])
        if name in self._names:
            return name
        compiled = answerer.compiled()
        assert compiled is not None
        publication = compiled.publication()
        names = [identifier(f"__{place}", "spark") for place in range(len(publication.arguments))]
        taken = spark_parameters(publication, names)
        bodies = {one: macro_body(publication, one, names, "spark") for one in publication.outputs}
        made = {one: self._hidden(answerer, f"{one}_sql") for one in bodies}
        for one, body in bodies.items():
            arrow, _ = output_type(one, answerer.description.returns, answerer.description.classes)
            self._function(made[one], taken, arrow, body)
            self._names.add(made[one])

        def call(one: Published, given: Sequence[str]) -> str:
            return f"{made[one]}({', '.join(given)})"

        try:
            prove(self.session, repr(bodies), answerer, call, self.evaluate)
        except Refused as why:
            self._refused |= dict.fromkeys(made.values(), str(why))
            raise
        return name

    def publish_for_good(self, answerer: Answerer, statements: Sequence[str]) -> None:
        if self.session.conf.get("spark.sql.catalogImplementation", "in-memory") == "in-memory":
            raise EngineError(
                message="This Spark forgets its functions when it ends: publishing needs a metastore, as with "
                "'spark.sql.catalogImplementation' = 'hive' in [spark] conf"
            )
        self._expression(answerer, "predict")
        with self._mapped():
            for statement in statements:
                self.session.sql(statement)

    def _function(self, name: str, parameters: str, result: pa.DataType, body: str) -> None:
        type_ = from_arrow_type(result, prefer_timestamp_ntz=True).simpleString()
        text = f"CREATE OR REPLACE TEMPORARY FUNCTION {identifier(name, 'spark')}({parameters}) RETURNS {type_} RETURN"
        with self._mapped():
            self.session.sql(f"{text} {body}")

    def _send(self, answerer: Answerer) -> Sent:
        """The version on its way to the workers, once."""
        with self._sending:
            if answerer.key not in self._sent:
                held = answerer.portable()
                if held.artifact is not None:
                    with self._mapped():
                        self.session.addArtifacts(str(packed(held.artifact)), file=True)
                self._sent[answerer.key] = Inline(held) if self.is_remote else self.session.sparkContext.broadcast(held)
            return self._sent[answerer.key]

    def open(self, name: str) -> None:
        """Nothing: a worker opens a version when it meets it."""

    def evaluate(self, expression: str, columns: Mapping[str, pa.Array]) -> pa.Array:
        with self._mapped():
            frame = self.session.createDataFrame(pa.table(dict(columns)))
            found = frame.selectExpr(f"{expression} AS answer").toArrow()
        return found.column("answer").combine_chunks()

    def publish_all(self, answerers: Sequence[Answerer]) -> None:
        # Most of it is Spark's analysis of a statement, which another thread need not wait for.
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for done in [pool.submit(self.publish, answerer) for answerer in answerers]:
                done.result()

    def publish(self, answerer: Answerer) -> None:
        names = [argument.name for argument in answerer.description.arguments]
        lacking = SUFFIX_OF.keys() - set(answerer.description.outputs())
        self._drop({answerer.function + SUFFIX_OF[output] for output in lacking})
        if len({name.casefold() for name in names}) < len(names) or not answerer.description.taken:
            return
        parameters = ", ".join(
            f"{identifier(argument.name, 'spark')} {_PARAMETER.get(argument.type, 'DOUBLE')}"
            for argument in answerer.description.arguments
        )
        taken = ", ".join(identifier(argument.name, "spark") for argument in answerer.description.taken)
        for output in answerer.description.outputs():
            if output in SUFFIX_OF:
                name = answerer.function + SUFFIX_OF[output]
                arrow, _ = output_type(output, answerer.description.returns, answerer.description.classes)
                self._function(name, parameters, arrow, f"{self._hidden_for(answerer, output)}({taken})")
                self._macros.add(name)

    def _hidden_for(self, answerer: Answerer, output: Output) -> str:
        """What a SQL function can call: an expression, if it is to be one and is proved, else through Arrow."""
        if answerer.strategy == "sql":
            with contextlib.suppress(Refused):
                return self._expression(answerer, output)
        return self._through_arrow(answerer, [output])

    def withdraw(self, function: str) -> None:
        self._drop({function + suffix for suffix in SUFFIX_OF.values()})

    def _drop(self, wanted: set[str]) -> None:
        for name in self._macros & wanted:
            with contextlib.suppress(PySparkException):
                self.session.sql(f"DROP TEMPORARY FUNCTION IF EXISTS {identifier(name, 'spark')}")
        self._macros -= wanted

    def publish_generic(self, answerers: Mapping[str, Answerer]) -> None:
        if not answerers:
            return
        sent = {name: self._send(answerer) for name, answerer in answerers.items()}
        for name, (output, arrow) in _GENERIC.items():
            self._create(name, generic(sent, output), arrow)

    def owner_of(self, name: str) -> str | None:
        if name.casefold() in {macro.casefold() for macro in self._macros}:
            return None
        with self._mapped():
            found = self.session.sql(f"SHOW ALL FUNCTIONS LIKE {literal(name, 'spark')}").collect()
        return "Spark" if any(row[0].split(".")[-1].casefold() == name.casefold() for row in found) else None

    def shows_catalog(self) -> bool:
        return bool(self._catalog)

    def show_catalog(self, tables: Mapping[str, pa.Table]) -> None:
        # Each becomes a view when a statement first names it: making them all takes a second.
        self._catalog = dict(tables)
        self._shown = set()

    def _readable(self, text: str) -> str:
        """A statement with each `sqlml.<table>` as the view that holds it."""
        return with_views(text, CATALOG, self._catalog, self._view)

    def _view(self, table: str) -> str:
        view = f"__sqlml_{self._token}_{table}"
        if table not in self._shown:
            self.session.createDataFrame(self._catalog[table]).createOrReplaceTempView(view)
            self._shown.add(table)
        return view

    def add_source(self, name: str, path: str) -> None:
        with self._mapped():
            self.session.read.parquet(path).createOrReplaceTempView(identifier(name, "spark"))

    def show_files(self, name: str, files: Files, *, file_names: str | None = None) -> str:
        view = identifier(f"__sqlml_{self._token}_{name}", "spark")
        with self._mapped():
            read_files(self.session, files, file_names).createOrReplaceTempView(view)
        self._views.add(view)
        return view

    def show_latest(self, schema: str, tables: Mapping[str, Files]) -> None:
        """Nothing: what lies in a schema of Spark's must be there for good."""

    def rows(self, text: str, parameters: Parameters = None) -> Any:
        several = statements(text, tokenize(text, self.dialect) or []) if ";" in text else []
        *before, last = several or [text]
        with self._mapped():
            for statement in before:
                self.session.sql(self._readable(statement))
            last = self._readable(last)
            if parameters:
                last, held = with_markers(last, parameters)
                frame = self.session.sql(last, args=held)
            else:
                frame = self.session.sql(last)
            return frame if frame.schema.fields else None

    def profile(self, text: str, names: Sequence[str]) -> Profile:
        if self.is_remote:
            raise Refused("a client of Spark Connect doesn't see what a query has read")
        expressions = [name for name in names if name.endswith("_sql")]
        if expressions:
            raise Refused("an expression is Spark's own, which doesn't count it apart")
        with self._mapped():
            return profile(self.session, self._readable(text), sorted({self._jvm.shown(name) for name in names}))

    def batches(self, text: str, rows: int) -> Iterator[pa.RecordBatch]:
        with self._mapped():
            found = self.session.sql(self._readable(text)).toArrow()
        yield from found.to_batches(max_chunksize=rows)

    def write(self, text: str, folder: str, partition_by: Sequence[str] = (), *, by_files: bool = True) -> Written:
        with self._mapped():
            frame = self.session.sql(self._readable(text))
            reason = "the settings say so"
            if by_files and not partition_by:
                try:
                    job = self._job(text, frame, folder)
                except NotRowLocal as error:
                    reason = str(error)
                else:
                    return self._write_files(job)
            elif partition_by:
                reason = "its files are partitioned"
            return Written("rows", reason, write_files(self.session, frame, folder, partition_by))

    def _write_files(self, job: Job) -> Written:
        Path(job.folder).mkdir(parents=True)
        numbers = self.session.range(0, len(job.parts), 1, len(job.parts))
        with _without_pandas():
            done = numbers.mapInArrow(file_answering(job), "file string, rows long").collect()
        kept = {row["file"] for row in done}
        for path in Path(job.folder).iterdir():
            # Of a task that was killed, or ran twice.
            if str(path) not in kept:
                path.unlink()
        return Written("files", "each row is answered by itself", sum(row["rows"] for row in done))

    def way(self, text: str) -> tuple[str, str]:
        try:
            with self._mapped():
                self._job(text, self.session.sql(self._readable(text)), "")
        except NotRowLocal as error:
            return "rows", str(error)
        return "files", "each row is answered by itself"

    def _job(self, text: str, frame: Any, folder: str) -> Job:
        """The query file by file; raises NotRowLocal."""
        if self.is_remote:
            raise NotRowLocal("a client of Spark Connect doesn't see a table's files")
        found = row_local(text, self.dialect, self._calls.keys())
        calls = {name: call for name, call in self._calls.items() if name in found.text}
        table = self.session.sql(f"SELECT * FROM {found.table}")
        plan = table._jdf.queryExecution().optimizedPlan()
        if plan.getClass().getSimpleName() != "LogicalRelation":
            raise NotRowLocal("its table is a view of others")
        return job_of(found, frame, table, calls, folder)

    def table(self, rows: pa.Table) -> Any:
        return self.session.createDataFrame(rows)

    def relation(self, result: Any) -> Any:
        with self._mapped():
            return relation_of(result.toArrow())

    def tables(self) -> list[str]:
        with self._mapped():
            return sorted(table.name for table in self.session.catalog.listTables() if not table.name.startswith("__"))

    def error(self, error: BaseException) -> SqlmlError | None:
        return _mapped(error) if isinstance(error, PySparkException) else None

    def unknown_function(self, error: SqlmlError) -> str | None:
        found = re.search(r"\[UNRESOLVED_ROUTINE\] Cannot resolve routine `(?P<name>[^`]+)`", str(error))
        return found["name"] if found else None

    def in_transaction(self) -> bool:
        return False

    def interrupt(self) -> None:
        self.session.interruptAll()

    def cursor(self) -> SparkEngine:
        return SparkEngine(self.session, owned=False, main=self._main or self)

    def close(self) -> None:
        if self._main is not None:
            return
        with contextlib.suppress(Exception):
            self._drop(set(self._macros))
            for name in self._names:
                self.session.sql(f"DROP TEMPORARY FUNCTION IF EXISTS {identifier(name, 'spark')}")
            for table in self._shown:
                self.session.catalog.dropTempView(f"__sqlml_{self._token}_{table}")
            for view in self._views:
                self.session.sql(f"DROP VIEW IF EXISTS {view}")
        self._names.clear()
        self._calls.clear()
        if self._owned:
            self.session.stop()

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except PySparkException as error:
            raise _mapped(error) from error


@contextlib.contextmanager
def _without_pandas() -> Iterator[None]:
    """Spark says once a process that it is not at home with pandas 3, which is not asked to do anything here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        yield


def _fields_of(type_: DataType) -> tuple[str, ...] | None:
    return tuple(type_.names) if isinstance(type_, StructType) else None


def _mapped(error: BaseException) -> SqlmlError:
    """Spark's exception as one of ours: our own that went through a worker comes back as it was."""
    text = str(error)
    if isinstance(error, AnalysisException):
        # It shows the plan, in which the texts of our own errors stand.
        return EngineError(message=text.split(";\n")[0].split("\n\nJVM stacktrace")[0].strip())
    if found := _OURS.search(text):
        return restore(found["name"], {}, found["message"].strip()) or EngineError(message=found["message"])
    if "ModuleNotFoundError: No module named 'sqlml'" in text:
        return EngineError(
            message="The Python of Spark's workers has no sqlml: start Spark with PYSPARK_PYTHON="
            f"{sys.executable}, and on other machines with the archive that 'sqlml spark-env' makes"
        )
    if "Traceback (most recent call last)" in text and (raised := _RAISED.findall(text)):
        return EngineError(message=f"A worker raised {raised[-1]}")
    return EngineError(message=text.split("\n\nJVM stacktrace")[0].strip())
