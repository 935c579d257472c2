"""DuckDB: the embedded engine. The only import of duckdb."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from duckdb.func import FunctionNullHandling, PythonUDFType

from sqlml.config import Settings
from sqlml.engines.duckdb_facts import DuckDBFacts, compares_texts_plainly, kind_of, orders_nulls_last, profile
from sqlml.engines.duckdb_files import name_partitions, select_files
from sqlml.engines.duckdb_layout import Want
from sqlml.engines.duckdb_native import NativeDoor, NoDoor, open_door
from sqlml.engines.engine import Column, Engine, Files, Parameters, Profile, Written
from sqlml.errors import CatalogUnreachable, EngineError, NotNumeric, SqlmlError, UnknownFunction, did_you_mean, restore
from sqlml.models.answering import Answerer
from sqlml.models.compiled import what_of
from sqlml.programs.kernel.loading import machine
from sqlml.programs.publish import Published, macro_body
from sqlml.query.calls import SUFFIX_OF
from sqlml.query.rowlocal import Batched, NotRowLocal, batched
from sqlml.query.text import identifier, literal
from sqlml.types import Native, Output, result_type

log = logging.getLogger("sqlml")

CATALOG = "sqlml"
BATCH_ROWS = 100_000
"""Rows that a model's own library is asked for at once, where a query's rows are written."""

_MARK = "__sqlml_session"
_MOST_DERIVED = 1000
"""Functions of rewritten queries that the database keeps; each constant of a filter may make one."""
_GENERIC: Mapping[str, tuple[Output, str]] = {
    "predict": ("predict", "DOUBLE"),
    "predict_score": ("score", "DOUBLE"),
    "predict_proba": ("proba", "MAP(VARCHAR, DOUBLE)"),
}
_FROM_UDF = re.compile(r"Python exception occurred while executing the UDF: (?P<name>\w+): (?P<message>.*)", re.DOTALL)
_UNKNOWN = re.compile(r"(?:Scalar )?Function with name \"?(?P<name>\w+)\"? does not exist")
_RENAMED = re.compile(r"(?P<base>.+)_[0-9]+", re.DOTALL)


class _Shared:
    """What the cursors of one session have in common: the native functions, which the whole database sees."""

    def __init__(self, owner: duckdb.DuckDBPyConnection) -> None:
        # A pending result blocks create_function on its connection, so that the functions have one of their own.
        self.owner = owner
        self.names: set[str] = set()
        self.native: dict[str, Callable[[], None]] = {}
        self.derived: dict[str, None] = {}
        self.by_library: dict[str, tuple[Answerer, tuple[Output, ...]]] = {}
        self._door: NativeDoor | None = None
        self._tried = False
        self.generic: Mapping[str, Answerer] = {}
        self.lock = threading.RLock()
        self.token = hashlib.sha256(str(id(owner)).encode()).hexdigest()[:6]
        self.users = 0

    def door(self, setting: Native) -> NativeDoor | None:
        """The native way into the database; None where there is none, or the setting is 'off'."""
        if not self._tried and setting == "auto":
            self._tried = True
            try:
                self._door = open_door(self.owner)
            except NoDoor as reason:
                log.info("Kernels answer through Arrow: %s", reason)
        return self._door


class DuckDBEngine(Engine):
    """A DuckDB connection, opened here or held by the user."""

    name = "duckdb"
    dialect = "duckdb"
    keeps_tables = True
    repeats = frozenset({"where", "having"})
    samples = True

    def __init__(
        self,
        connection: Any,
        *,
        owned: bool,
        time_zone: str | None = None,
        native: Native = "auto",
        shared: _Shared | None = None,
    ) -> None:
        self.connection = connection
        self._native_setting = native
        self._owned = owned
        self._time_zone = time_zone
        self._shared = shared or _Shared(connection.cursor())
        self._shared.users += 1
        self._macros: set[str] = set()
        self._sources: dict[str, str] = {}
        self._closed = False
        if owned:
            # So that a data frame in the caller's variables is found from inside our own call.
            _do(connection, "SET python_scan_all_frames = true")
        if time_zone is not None:
            _do(connection, f"SET TimeZone = {literal(time_zone)}")

    def __repr__(self) -> str:
        return f"<DuckDBEngine {'owned' if self._owned else 'held'}>"

    @classmethod
    def at(cls, settings: Settings, database: str | None = None) -> DuckDBEngine:
        """The settings' database file or memory, or the file that is given, in the settings' time zone.

        Raises:
            EngineError: the file can't be opened, or another process holds it.
        """
        try:
            connection = duckdb.connect(settings.database_path if database is None else database)
            return cls(connection, owned=True, time_zone=settings.time_zone, native=settings.native)
        except duckdb.Error as error:
            raise EngineError(message=str(error)) from error

    @classmethod
    def over(cls, connection: Any, settings: Settings) -> DuckDBEngine:
        """A connection that the user holds, whose time zone stays."""
        return cls(connection, owned=False, native=settings.native)

    def columns(self, query: str) -> Sequence[Column]:
        with self._frames_visible(), self._mapped():
            relation = self.connection.sql(query)
            named = zip(_original(relation.columns), relation.types, strict=True)
            return [Column(name, _fields_of(one), kind=kind_of(one), type=str(one)) for name, one in named]

    def facts(self, table: str) -> DuckDBFacts:
        return DuckDBFacts(self.connection, table)

    def compares_texts_plainly(self) -> bool:
        with self._mapped():
            return compares_texts_plainly(self.connection)

    def orders_nulls_last(self, *, descending: bool) -> bool:
        with self._mapped():
            return orders_nulls_last(self.connection)

    def schema(self, query: str) -> pa.Schema:
        with self._frames_visible(), self._mapped():
            return self.connection.sql(f"SELECT * FROM ({query}\n) LIMIT 0").to_arrow_table().schema

    def register(
        self, answerer: Answerer, outputs: Sequence[Output], *, as_row: bool = False, once: bool = False
    ) -> str:
        key = hashlib.sha256(answerer.key.encode()).hexdigest()[:8]
        name = f"__sqlml_{self._shared.token}_{key}_{answerer.function}_{'_'.join(outputs)}".lower()
        name += "_once" if once else ""
        if not once and not as_row and answerer.strategy == "sql" and len(outputs) == 1 and outputs[0] != "probs":
            return self._expression(f"{name}_sql", answerer, outputs[0])
        with self._shared.lock:
            native = f"{name}_native"
            if answerer.is_derived:
                self._forget_oldest(native, name)
            compiles = not as_row and answerer.strategy != "python"
            if compiles and (native in self._shared.native or self._native(native, answerer, outputs, once=once)):
                return native
            if not as_row and answerer.strategy == "python":
                self._shared.by_library[name] = (answerer, tuple(outputs))
            if name not in self._shared.names:
                _, type_ = result_type(outputs, answerer.description.returns, answerer.description.classes)
                self._create(name, _answering(answerer, outputs), type_, once=once)
        return name

    def knows(self, name: str) -> bool:
        return name in self._shared.native or name in self._shared.names or name in self._macros

    def _forget_oldest(self, *names: str) -> None:
        """Have room for a function that a rewritten query calls, which goes by one of these names."""
        held = self._shared.derived
        for name in names:
            held.pop(name, None)
            held[name] = None
        while len(held) > 2 * _MOST_DERIVED:
            oldest = next(iter(held))
            del held[oldest]
            door = self._shared.door(self._native_setting)
            with contextlib.suppress(duckdb.Error):
                if self._shared.native.pop(oldest, None) is not None and door is not None:
                    door.unregister(oldest)
                elif oldest in self._shared.names:
                    self._shared.names.discard(oldest)
                    self._shared.owner.remove_function(oldest)

    def open(self, name: str) -> None:
        if (ready := self._shared.native.get(name)) is not None:
            ready()

    def evaluate(self, expression: str, columns: Mapping[str, pa.Array]) -> pa.Array:
        with self._mapped(), self.connection.cursor() as cursor:
            cursor.register("__sqlml_rows", pa.table(dict(columns)))
            found = cursor.sql(f"SELECT {expression} AS answer FROM __sqlml_rows").to_arrow_table()
            return found.column("answer").combine_chunks()

    def _expression(self, name: str, answerer: Answerer, output: Published) -> str:
        """A macro of the program's expression, on this connection."""
        if name not in self._macros:
            compiled = answerer.compiled()
            assert compiled is not None
            names = [identifier(f"__{place}") for place in range(len(compiled.program.inputs))]
            body = macro_body(compiled.publication(), output, names, "duckdb")
            self._macro(name, f"({', '.join(names)}) AS {body}")
        return name

    def _native(self, name: str, answerer: Answerer, outputs: Sequence[Output], *, once: bool) -> bool:
        """Register the kernel by the native door; False where there is no door or no machine."""
        door, held = self._shared.door(self._native_setting), answerer.description
        if door is None or machine() is None:
            return False
        arrow, _ = result_type(outputs, held.returns, held.classes)
        wants = [Want.TEXT if argument.type == "VARCHAR" else Want.NUMBER for argument in held.taken]

        def prepare() -> tuple[int, int, object]:
            compiled = answerer.compiled()
            assert compiled is not None
            image = compiled.image(outputs)
            return machine() or 0, image.address, image

        try:
            whats, answer = [what_of(held, output) for output in outputs], _answering(answerer, outputs)
            ready = door.register(
                name,
                wants,
                whats,
                arrow,
                lambda arrays: answer(*arrays),
                labels=held.classes,
                prepare=prepare,
                once=once,
            )
        except NoDoor as reason:
            log.info("%s answers through Arrow: %s", answerer.function, reason)
            return False
        self._shared.native[name] = ready
        return True

    def _create(self, name: str, answer: Callable[..., pa.Array], type_: str, *, once: bool = False) -> None:
        # parameters=None: any number of arguments of any type; a list would refuse *args.
        self._shared.owner.create_function(
            name,
            answer,
            None,
            _type(self._shared.owner, type_),
            type=PythonUDFType.ARROW,
            null_handling=FunctionNullHandling.SPECIAL,
            side_effects=once,
        )
        self._shared.names.add(name)

    def publish(self, answerer: Answerer) -> None:
        names = [argument.name for argument in answerer.description.arguments]
        parameters = ", ".join(identifier(name) for name in names)
        taken = ", ".join(identifier(argument.name) for argument in answerer.description.taken)
        # A macro can't have two parameters that differ only in case, and with one a row goes the same way.
        by_name = len(names) > 1 and len({name.casefold() for name in names}) == len(names)
        row = "__row" if len(names) > 1 else identifier(names[0])
        for output in answerer.description.outputs():
            if output not in SUFFIX_OF:
                continue
            of_row = self.register(answerer, [output], as_row=len(names) > 1)
            macro = answerer.function + SUFFIX_OF[output]
            overloads = f"({row}) AS {of_row}({row})"
            if by_name:
                overloads += f", ({parameters}) AS {self.register(answerer, [output])}({taken})"
            self._macro(macro, overloads)
        lacking = SUFFIX_OF.keys() - set(answerer.description.outputs())
        self._drop_macros({answerer.function + SUFFIX_OF[output] for output in lacking})

    def withdraw(self, function: str) -> None:
        self._drop_macros({function + suffix for suffix in SUFFIX_OF.values()})

    def _drop_macros(self, wanted: Collection[str]) -> None:
        gone = self._macros.intersection(wanted)
        self._macros -= gone
        if not gone:
            return
        # A later session on this connection may have put its own in place of ours, and goes on needing it.
        ours = """
            SELECT DISTINCT function_name FROM duckdb_functions()
            WHERE database_name = 'temp' AND contains(macro_definition, ?)
        """
        with contextlib.suppress(duckdb.Error):
            held = self.connection.execute(ours, [f"__sqlml_{self._shared.token}_"]).fetchall()
            for macro in sorted(gone.intersection(name for (name,) in held)):
                _do(self.connection, f"DROP MACRO IF EXISTS temp.main.{identifier(macro)}")

    def publish_generic(self, answerers: Mapping[str, Answerer]) -> None:
        shared = self._shared
        with shared.lock:
            shared.generic = dict(answerers)
            for name, (output, type_) in _GENERIC.items():
                hidden = f"__sqlml_{shared.token}_{name}"
                if hidden not in shared.names:
                    self._create(hidden, _generic(shared, output), type_)
        # A macro can't take any number of arguments, but one overload for each number that a function has will do.
        counts = sorted({1, *(len(answerer.description.arguments) for answerer in answerers.values())})
        for name in _GENERIC if answerers else ():
            overloads = []
            for count in counts:
                given = ", ".join(f"__{i}" for i in range(count + 1))
                overloads.append(f"({given}) AS __sqlml_{shared.token}_{name}({given})")
            self._macro(name, ", ".join(overloads))

    def _macro(self, name: str, overloads: str) -> None:
        with self._mapped():
            _do(self.connection, f"CREATE OR REPLACE TEMP MACRO {identifier(name)}{overloads}")
        self._macros.add(name)

    def owner_of(self, name: str) -> str | None:
        if name.casefold() in {macro.casefold() for macro in self._macros}:
            return None
        query = """
            SELECT CASE WHEN internal THEN 'DuckDB' ELSE 'a ' || function_type || ' of the database' END
            FROM duckdb_functions() WHERE lower(function_name) = lower(?) LIMIT 1
        """
        found = self.connection.cursor().execute(query, [name]).fetchall()
        return str(found[0][0]) if found else None

    def shows_catalog(self) -> bool:
        with self._shared.lock:
            return self._shows_catalog()

    def _shows_catalog(self) -> bool:
        owner = self._shared.owner
        attached = "SELECT count(*) FROM duckdb_tables() WHERE database_name = ? AND table_name = ?"
        if not owner.execute(attached, [CATALOG, _MARK]).fetchall()[0][0]:
            return False
        return bool(owner.execute(f"FROM {CATALOG}.main.{_MARK}").fetchall()[0][0] == self._shared.token)

    def show_catalog(self, tables: Mapping[str, pa.Table]) -> None:
        owner = self._shared.owner
        with self._shared.lock:
            self._attach(CATALOG)
            for name, table in tables.items():
                owner.register("__sqlml_rows", table)
                try:
                    _do(owner, f"CREATE OR REPLACE TABLE {CATALOG}.main.{identifier(name)} AS FROM __sqlml_rows")
                except duckdb.Error as error:
                    raise CatalogUnreachable(url=f"{CATALOG}.{name}", reason=str(error).splitlines()[0]) from error
                finally:
                    owner.unregister("__sqlml_rows")
            mark = f"CREATE OR REPLACE TABLE {CATALOG}.main.{_MARK} AS SELECT {literal(self._shared.token)} AS session"
            _do(owner, mark)

    def add_source(self, name: str, path: str) -> None:
        files = f"{path}/**/*.parquet" if Path(path).is_dir() else path
        with self._mapped():
            _do(
                self.connection,
                f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS FROM read_parquet({literal(files)})",
            )
        self._sources[name] = path

    def show_files(self, name: str, files: Files, *, file_names: str | None = None) -> str:
        query = select_files(files, file_names)
        if self.in_transaction():
            # It would not see what others make from now on.
            return f"({query})"
        with self._shared.lock, self._mapped():
            self._attach(CATALOG)
            view = f"{CATALOG}.main.{identifier(f'{_MARK}/{name}')}"
            _do(self._shared.owner, f"CREATE OR REPLACE VIEW {view} AS {query}")
        return view

    def show_latest(self, schema: str, tables: Mapping[str, Files]) -> None:
        theirs = "SELECT 1 FROM duckdb_schemas() WHERE schema_name = ?"
        with self._shared.lock, contextlib.suppress(duckdb.Error):
            if self._shared.owner.execute(theirs, [schema]).fetchall():
                # The user's own schema; two of one name could not be told apart.
                return
            self._attach(schema)
            for name, files in tables.items():
                view = f"{identifier(schema)}.main.{identifier(name)}"
                _do(self._shared.owner, f"CREATE OR REPLACE VIEW {view} AS {select_files(files)}")

    def _attach(self, database: str) -> None:
        """Have a database in memory of that name beside the user's."""
        attached = "SELECT 1 FROM duckdb_databases() WHERE database_name = ?"
        if not self._shared.owner.execute(attached, [database]).fetchall():
            _do(self._shared.owner, f"ATTACH ':memory:' AS {identifier(database)} (READ_WRITE)")

    def rows(self, text: str, parameters: Parameters = None) -> Any:
        with self._frames_visible(), self._mapped():
            return self.connection.sql(text, params=parameters) if parameters else self.connection.sql(text)

    def profile(self, text: str, _names: Sequence[str]) -> Profile:
        with self._frames_visible(), self._mapped():
            return profile(self.connection, text)

    def batches(self, text: str, rows: int) -> Iterator[pa.RecordBatch]:
        with self._frames_visible():
            try:
                yield from self.connection.sql(text).to_arrow_reader(rows)
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                raise _mapped(error) from error

    def write(self, text: str, folder: str, partition_by: Sequence[str] = (), *, by_files: bool = True) -> Written:
        if not partition_by and any(name in text for name in self._shared.by_library):
            with contextlib.suppress(NotRowLocal):
                return self._write_batches(batched(text, self.dialect, self._shared.by_library.keys()), folder)
        parts = f"PARTITION_BY ({', '.join(map(identifier, partition_by))})" if partition_by else "PER_THREAD_OUTPUT"
        with self._frames_visible(), self._mapped():
            done = self.connection.execute(f"COPY ({text}) TO {literal(folder)} (FORMAT parquet, {parts})").fetchall()
        if partition_by:
            name_partitions(Path(folder), partition_by)
        return Written(*self.way(text), int(done[0][0]))  # type: ignore[arg-type]

    def _write_batches(self, found: Batched, folder: str) -> Written:
        """Ask a model's library for many rows at once, where DuckDB would ask for 2,048."""
        answerers = {place: self._shared.by_library[name] for place, name in found.calls.items()}

        def answered(batch: pa.RecordBatch) -> pa.RecordBatch:
            columns = list(batch.columns)
            for place, (answerer, outputs) in answerers.items():
                columns[place] = _answering(answerer, outputs)(*columns[place].flatten())
            return pa.RecordBatch.from_arrays(columns, names=list(found.names))

        rows, writer = 0, None
        Path(folder).mkdir(parents=True)
        with contextlib.ExitStack() as stack:
            for batch in self.batches(found.text, BATCH_ROWS):
                whole = answered(batch)
                if writer is None:
                    writer = stack.enter_context(pq.ParquetWriter(f"{folder}/data_0.parquet", whole.schema))
                writer.write_batch(whole)
                rows += whole.num_rows
            if writer is None:
                raise NotRowLocal("it has no rows, and DuckDB knows the types of none")
        return Written("rows", f"a model's library is asked for {BATCH_ROWS:,} rows at a time", rows)

    def way(self, _text: str) -> tuple[str, str]:
        return "rows", "DuckDB writes what it reads"

    def table(self, rows: pa.Table) -> Any:
        return self.connection.from_arrow(rows)

    def relation(self, result: Any) -> Any:
        return result

    def tables(self) -> list[str]:
        query = """
            SELECT table_name FROM information_schema.tables
            WHERE table_catalog IN (current_database(), 'temp') ORDER BY ALL
        """
        return [str(name) for (name,) in self.connection.cursor().execute(query).fetchall()]

    def error(self, error: BaseException) -> SqlmlError | None:
        # A relation that is read as an Arrow stream raises what Arrow makes of DuckDB's exception.
        return _mapped(error) if isinstance(error, duckdb.Error | pa.ArrowException | OSError) else None

    def unknown_function(self, error: SqlmlError) -> str | None:
        found = _UNKNOWN.search(str(error))
        return found["name"] if found else None

    def in_transaction(self) -> bool:
        # DuckDB doesn't say; outside of one, each statement is a transaction of its own.
        try:
            ask = "SELECT current_transaction_id()"
            return bool(self.connection.sql(ask).fetchall() == self.connection.sql(ask).fetchall())
        except duckdb.Error:
            return True

    def interrupt(self) -> None:
        self.connection.interrupt()

    def cursor(self) -> DuckDBEngine:
        made = DuckDBEngine(
            self.connection.cursor(),
            owned=True,
            time_zone=self._time_zone,
            native=self._native_setting,
            shared=self._shared,
        )
        for name, path in self._sources.items():
            made.add_source(name, path)
        return made

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._drop_macros(set(self._macros))
        shared = self._shared
        shared.users -= 1
        if shared.users == 0:
            # What stays registered is reported as a leak when the interpreter ends.
            for name in shared.names:
                with contextlib.suppress(duckdb.Error):
                    shared.owner.remove_function(name)
            shared.names.clear()
            door = shared.door(self._native_setting) if shared.native else None
            if door is not None:
                for name in shared.native:
                    with contextlib.suppress(duckdb.Error):
                        door.unregister(name)
            shared.native.clear()
            with contextlib.suppress(duckdb.Error):
                if self._shows_catalog():
                    _do(shared.owner, f"DETACH DATABASE {CATALOG}")
            shared.owner.close()
        if self._owned:
            self.connection.close()

    @contextlib.contextmanager
    def _frames_visible(self) -> Any:
        """Let a user's connection find a data frame in the caller's variables, though our call lies between."""
        if self._owned:
            yield
            return
        if self._scan_all_frames(True):
            yield
            return
        try:
            yield
        finally:
            self._scan_all_frames(False)

    def _scan_all_frames(self, wanted: bool) -> bool:
        """Set it for the whole database; gives what it was."""
        setting = "python_scan_all_frames"
        with self._shared.lock, self._mapped():
            owner = self._shared.owner
            before = bool(owner.execute(f"SELECT current_setting('{setting}')").fetchall()[0][0])
            if before != wanted:
                _do(owner, f"SET GLOBAL {setting} = {wanted}")
            return before

    @contextlib.contextmanager
    def _mapped(self) -> Any:
        try:
            yield
        except duckdb.Error as error:
            raise _mapped(error) from error


def relation_of(rows: pa.Table) -> Any:
    """An Arrow table as a relation, on a connection of its own."""
    return duckdb.connect().from_arrow(rows)


def _do(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Run a statement to its end: a result that nobody reads blocks the connection."""
    connection.execute(statement).fetchall()


def _answering(answerer: Answerer, outputs: Sequence[Output]) -> Callable[..., pa.Array]:
    def answer(*given: pa.ChunkedArray) -> pa.Array:
        answers = answerer.together(outputs, [_renamed_back(array) for array in given])
        return answers[0] if len(outputs) == 1 else pa.StructArray.from_arrays(answers, names=list(outputs))

    return answer


def _generic(shared: _Shared, output: Output) -> Callable[..., pa.Array]:
    """The engine's own `predict(name, ...)`, which finds its function by name in every batch."""

    def answer(*given: pa.ChunkedArray) -> pa.Array:
        rows = len(given[0])
        names = {str(name) for name in given[0].unique().to_pylist()}
        if len(names) != 1:
            raise EngineError(message="predict(...) takes one function's name, the same for every row")
        name = names.pop()
        answerer = shared.generic.get(name.casefold())
        if answerer is None:
            suggestion = did_you_mean(name, (held.function for held in shared.generic.values()))
            raise UnknownFunction(name=name, suggestion=suggestion)
        answers = answerer(output, [_renamed_back(array) for array in given[1:]])
        assert len(answers) == rows
        if output == "proba":
            keys = pa.array([str(key) for key in answers.keys.to_pylist()], pa.string())
            return pa.MapArray.from_arrays(answers.offsets, keys, answers.items)
        if output == "predict" and (pa.types.is_nested(answers.type) or not _is_number(answers.type)):
            raise NotNumeric(function=name, type=answerer.description.returns.sql)
        return answers.cast(pa.float64())

    return answer


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_))


def _type(owner: duckdb.DuckDBPyConnection, text: str) -> Any:
    """A type as create_function takes it: the text of a nested one isn't always read, a dummy column's type is."""
    return owner.sql(f"SELECT CAST(NULL AS {text}) AS x").types[0]


def _fields_of(type_: Any) -> tuple[str, ...] | None:
    return tuple(name for name, _ in type_.children) if type_.id == "struct" else None


def _original(names: Sequence[str]) -> list[str]:
    """Undo DuckDB's renaming of a column that differs from an earlier one in nothing but case: a, A_1.

    Under its new name the second would be passed over in silence, and which one a user means can't be known.
    """
    seen: dict[str, str] = {}
    found = []
    for name in names:
        match = _RENAMED.fullmatch(name)
        base = match["base"] if match else None
        if base is not None and base.casefold() in seen and seen[base.casefold()] != base:
            found.append(base)
            continue
        seen.setdefault(name.casefold(), name)
        found.append(name)
    return found


def _renamed_back(array: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    if not pa.types.is_struct(array.type):
        return array
    names = [field.name for field in array.type]
    originals = _original(names)
    if originals == names:
        return array
    rows = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    return pa.chunked_array([pa.StructArray.from_arrays(rows.flatten(), names=originals)])


def _mapped(error: BaseException) -> SqlmlError:
    """The engine's exception as one of ours: our own that went through a UDF comes back as it was."""
    if found := _FROM_UDF.search(str(error)):
        return restore(found["name"], {}, found["message"]) or EngineError(message=found["message"])
    return EngineError(message=str(error))
