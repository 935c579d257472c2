"""A statement and the catalog make a Plan: what each call means, as data. Nothing runs here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlml.catalog import Function, Snapshot, Version
from sqlml.engines.engine import Column
from sqlml.errors import (
    EngineError,
    NoSuchOutput,
    PinnedInView,
    UnknownArgument,
    UnknownColumn,
    UnknownColumns,
    UnknownModel,
    did_you_mean,
    quoted,
)
from sqlml.models.answering import match_names, wrong_count
from sqlml.models.description import Argument, Description
from sqlml.query.calls import Arguments, Call, Names, Positions, Star, StructLiteral
from sqlml.query.scope import Level, Scope
from sqlml.query.text import Span, identifier
from sqlml.types import NullPolicy, Output

Piece = str | Span
"""SQL of an argument: new text, or a stretch of the statement, in which calls may stand."""

ColumnsOf = Callable[[str], Sequence[Column]]

_PYTHON_ONLY = "the model's own library answers batches; no compiled strategy has been proved for it"


@dataclass(frozen=True)
class Target:
    """The function and version that a call means."""

    function: Function
    version: Version
    description: Description
    on_null: NullPolicy
    pinned: bool

    @property
    def key(self) -> str:
        """What tells this version of the function, under its settings, from any other."""
        return f"{self.function.name}\n{self.version.id}\n{self.version.digest}\n{self.on_null}"


@dataclass(frozen=True)
class PlannedCall:
    """One call: what it means and what stands in its place."""

    target: Target
    output: Output
    name: str
    span: Span
    form: str
    bound: tuple[tuple[str, str], ...]
    pieces: tuple[Piece, ...]
    row_names: tuple[str, ...] | None
    strategy: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What a statement will do: its calls, and the SQL that the engine gets."""

    text: str
    sql: str
    calls: tuple[PlannedCall, ...]
    rewrites: tuple[str, ...]
    engine: str

    def columns_read(self) -> list[str]:
        """The columns and expressions that the calls are given, each once."""
        return list(dict.fromkeys(sql for call in self.calls for _, sql in call.bound))

    def in_written_names(self, message: str) -> str:
        """An engine's message about `sql`, with the functions' names as they are in `text`."""
        for call in self.calls:
            message = message.replace(call.name, call.target.function.name + _PUBLIC.get(call.output, ""))
        return message

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data."""
        return {
            "engine": self.engine,
            "sql": self.sql,
            "rewrites": list(self.rewrites),
            "columns_read": self.columns_read(),
            "calls": [
                {
                    "function": call.target.function.name,
                    "model": call.target.version.model,
                    "version": call.target.version.version,
                    "output": call.output,
                    "form": call.form,
                    "arguments": {name: sql for name, sql in call.bound},
                    "on_null": call.target.on_null,
                    "strategy": call.strategy,
                    "reason": call.reason,
                }
                for call in self.calls
            ],
        }


def _lines(plan: Plan) -> list[str]:
    if not plan.calls:
        return ["No model is called: the statement goes to the engine as it is.", f"engine: {plan.engine}"]
    lines = []
    for call in plan.calls:
        target = call.target
        follows = f" (@{target.function.alias})" if target.function.alias and not target.pinned else ""
        lines += [
            f"{target.function.name}: {target.description.title}{follows}, {_WHAT[call.output]}",
            f"  strategy: {call.strategy}, for {call.reason}",
            f"  feed: {_FEED[target.description.feed]}; on_null: {target.on_null}",
            f"  bound by {call.form}:",
            *(f"    {name} <- {sql}" for name, sql in call.bound),
        ]
    lines += [f"rewrite: {rewrite}" for rewrite in plan.rewrites]
    lines.append(f"columns read: {', '.join(plan.columns_read()) or 'none'}")
    return [*lines, f"engine: {plan.engine}, which gets:", *(f"  {line}" for line in plan.sql.splitlines())]


_WHAT: Mapping[Output, str] = {
    "predict": "its answer",
    "score": "the probability of its last class",
    "proba": "the probability of each class",
    "probs": "the probability of each class, as a list",
}
_FEED: Mapping[str, str] = {"matrix": "one float64 matrix a batch", "frame": "a pandas data frame a batch"}


def target_of(snapshot: Snapshot, call: Call) -> Target:
    """The function and version that a call means.

    Raises:
        UnknownFunction: no function of that name.
        UnknownModel: an alias or version of its model that the catalog doesn't know.
        NoSuchOutput: a score or probabilities that the model doesn't have.
    """
    name, version_id, pinned = call.target, None, False
    if call.generic:
        name, alias, number = split_target(call.target)
        function = snapshot.function(name)
        model = snapshot.versions[function.version_id].model
        pinned = bool(alias or number)
        if alias:
            version_id = snapshot.aliases.get((model, alias))
        elif number:
            held = snapshot.version_named(model, number)
            version_id = held.id if held else None
        if pinned and version_id is None:
            raise UnknownModel(registry="the catalog", what=f"'{call.target}'", suggestion="")
    else:
        function = snapshot.function(name)
    version = snapshot.versions[version_id if version_id is not None else function.version_id]
    description = Description.from_json(version.description)
    if call.output not in description.outputs():
        output = {"score": "score", "proba": "probabilities", "probs": "probabilities"}[call.output]
        raise NoSuchOutput(function=function.name, output=output, reason=description.why_not(call.output))
    return Target(function, version, description, function.on_null, pinned)  # type: ignore[arg-type]


def split_target(target: str) -> tuple[str, str | None, str | None]:
    """The function, alias and version number in the name of a generic call.

    Example:
        >>> split_target("f@challenger"), split_target("f/3"), split_target("f")
        (('f', 'challenger', None), ('f', None, '3'), ('f', None, None))
    """
    if "@" in target:
        name, _, alias = target.partition("@")
        return name, alias, None
    name, slash, number = target.partition("/")
    return name, None, number if slash else None


def plan_query(
    text: str,
    calls: Sequence[Call],
    snapshot: Snapshot,
    *,
    columns_of: ColumnsOf,
    callable_name: Callable[[Target, Output], str],
    engine: str,
    rewrites: Sequence[str] = (),
    stored: bool = False,
) -> Plan:
    """Bind each call's arguments and put the name of a version's function in its place.

    Args:
        text: one statement.
        calls: what `find_calls` found in it.
        snapshot: the catalog, which names the versions once for the whole statement.
        columns_of: the engine's answer to which columns a query has; may raise EngineError.
        callable_name: what a target's output is called in the engine.
        engine: the engine's name.
        rewrites: what was already changed in the text.
        stored: the engine keeps the text (a view, a macro), so that functions must go by their public names.

    Raises:
        SqlmlError: whatever stands against a call.
    """
    name_of = _stored_name if stored else callable_name
    planned = [_plan_call(text, call, target_of(snapshot, call), columns_of, name_of) for call in calls]
    if stored:
        for call in planned:
            if call.target.pinned or call.output == "probs":
                version = call.target.version
                model = f"models:/{version.model}/{version.version}"
                reference = text[call.span.start : call.span.end]
                raise PinnedInView(reference=reference, model=model)
    sql = _render(text, planned, stored)
    return Plan(text, sql, tuple(planned), tuple(rewrites), engine)


_PUBLIC: Mapping[Output, str] = {"predict": "", "score": "_score", "proba": "_proba"}


def _stored_name(target: Target, output: Output) -> str:
    return identifier(target.function.name + _PUBLIC[output])


def _render(text: str, calls: Sequence[PlannedCall], stored: bool) -> str:
    def within(span: Span) -> str:
        """The text of a span, its calls replaced, the outermost first."""
        shown, at = [], span.start
        for call in calls:
            if call.span.start < at or call.span.end > span.end:
                continue
            shown += [text[at : call.span.start], rendered(call)]
            at = call.span.end
        return "".join([*shown, text[at : span.end]])

    def rendered(call: PlannedCall) -> str:
        pieces = [piece if isinstance(piece, str) else within(piece) for piece in call.pieces]
        if stored and call.row_names is not None:
            # A stored call is bound again by whoever reads the view, at the version that answers then.
            fields = zip(call.row_names, pieces, strict=True)
            return f"{call.name}(struct_pack({', '.join(f'{identifier(field)} := {sql}' for field, sql in fields)}))"
        return f"{call.name}({', '.join(pieces)})"

    return within(Span(0, len(text)))


def _plan_call(
    text: str, call: Call, target: Target, columns_of: ColumnsOf, name_of: Callable[[Target, Output], str]
) -> PlannedCall:
    binder = _Binder(text, target.function.name, target.description.arguments, call.scope, columns_of)
    form, pieces, names = binder.bind(call.arguments)
    shown = [piece if isinstance(piece, str) else text[piece.start : piece.end] for piece in pieces]
    labels = names if names is not None else [argument.name for argument in target.description.arguments]
    bound = tuple(zip(labels, shown, strict=False)) if len(shown) == len(labels) else (("a row", shown[0]),)
    return PlannedCall(
        target,
        call.output,
        name_of(target, call.output),
        call.span,
        form,
        bound,
        tuple(pieces),
        names,
        strategy="python",
        reason=_PYTHON_ONLY,
    )


Bound = tuple[str, list[Piece], tuple[str, ...] | None]
"""How it was bound, the argument list, and the arguments' names where a row was taken apart."""


class _Binder:
    """Binds one call's arguments to the model's."""

    def __init__(
        self, text: str, function: str, arguments: Sequence[Argument], scope: Scope | None, columns_of: ColumnsOf
    ) -> None:
        self.text = text
        self.function = function
        self.arguments = arguments
        self.scope = scope
        self.columns_of = columns_of

    def bind(self, given: Arguments) -> Bound:
        match given:
            case Star():
                return self._star(given)
            case Names(fields):
                for name, _ in fields:
                    self._check_name(name)
                return self._fields("name", [(name, span) for name, span in fields], "the call")
            case StructLiteral(fields):
                return self._fields("row", [(name, span) for name, span in fields], "the row")
            case Positions((only,), path) if path is not None:
                return self._path(only, path)
            case Positions((only,), _):
                # A single expression may be a row, which is known when its value comes.
                return "position", [only], None
            case Positions(expressions, _):
                if len(expressions) != len(self.arguments):
                    raise wrong_count(self.function, self.arguments, len(expressions))
                return "position", list(expressions), None
        raise AssertionError(given)

    def _check_name(self, name: str) -> None:
        names = [argument.name for argument in self.arguments]
        if name.casefold() not in {valid.casefold() for valid in names}:
            raise UnknownArgument(
                function=self.function, name=name, valid=quoted(names[:20]), suggestion=did_you_mean(name, names)
            )

    def _fields(self, form: str, fields: Sequence[tuple[str, Piece]], source: str) -> Bound:
        names = [name for name, _ in fields]
        places = match_names(self.function, self.arguments, names, source, lambda place: f"'{names[place]}'")
        pieces: list[Piece] = ["NULL" if place is None else fields[place][1] for place in places]
        return form, pieces, tuple(argument.name for argument in self.arguments)

    def _path(self, only: Span, path: tuple[str, ...]) -> Bound:
        """A bare name: a column of that name first, as in SQL, then the row of a table of that alias."""
        alias = path[-1].casefold()
        for level in self.scope or ():
            for source in level.sources:
                columns = self._try_columns(source.probe)
                for column in columns or ():
                    is_this = len(path) == 1 or path[-2].casefold() == source.alias.casefold()
                    if column.name.casefold() == alias and is_this:
                        return self._column(only, path, column)
            for source in level.sources:
                if source.alias.casefold() == alias:
                    columns = self._try_columns(source.probe)
                    if columns is None:
                        return "row", [only], None
                    refs = [(c.name, f"{identifier(path[-1])}.{identifier(c.name)}") for c in columns]
                    return self._row(refs, f"the row of '{path[-1]}'")
        return "position", [only], None

    def _column(self, only: Span, path: tuple[str, ...], column: Column) -> Bound:
        if column.fields is None:
            return "position", [only], None
        held = ".".join(identifier(name) for name in path)
        refs = [(field, f"({held}).{identifier(field)}") for field in column.fields]
        return self._row(refs, f"the row '{'.'.join(path)}'")

    def _row(self, columns: Sequence[tuple[str, str]], source: str) -> Bound:
        names = [name for name, _ in columns]
        places = match_names(self.function, self.arguments, names, source, lambda place: f"'{names[place]}'")
        pieces: list[Piece] = ["NULL" if place is None else columns[place][1] for place in places]
        return "row", pieces, tuple(argument.name for argument in self.arguments)

    def _star(self, star: Star) -> Bound:
        written = f"{star.qualifier}.*" if star.qualifier else "*"
        columns = self._star_columns(star, written)
        kept: list[tuple[str, Piece, str]] = []
        for name, sql, origin in columns:
            key = name.casefold()
            if key in star.exclude:
                continue
            if key in star.replace:
                kept.append((name, star.replace[key], origin))
            else:
                kept.append((star.rename.get(key, name), sql, origin))
        present = {name.casefold() for name, _, _ in columns}
        for asked in (*star.exclude, *star.replace, *star.rename):
            if asked not in present:
                raise UnknownColumn(source=written, name=asked, suggestion=did_you_mean(asked, present))
        names = [name for name, _, _ in kept]

        def shown(place: int) -> str:
            return f"'{kept[place][2]}.{names[place]}'"

        places = match_names(self.function, self.arguments, names, f"'{written}'", shown)
        pieces = ["NULL" if place is None else kept[place][1] for place in places]
        return "row", pieces, tuple(argument.name for argument in self.arguments)

    def _star_columns(self, star: Star, written: str) -> list[tuple[str, str, str]]:
        """The star's columns in order: name, SQL and the table it is of."""
        for level in self.scope or ():
            if star.qualifier is None:
                if level.sources:
                    return self._all_columns(level, written)
                continue
            for source in level.sources:
                if source.alias.casefold() == star.qualifier.casefold():
                    held = self._columns(source.probe, written)
                    prefix = identifier(star.qualifier)
                    return [(c.name, f"{prefix}.{identifier(c.name)}", source.alias) for c in held]
            held_struct = self._path_struct(level, star.qualifier)
            if held_struct is not None:
                return held_struct
        reason = "sqlml can't read the statement" if self.scope is None else "no table of that name stands in FROM"
        raise UnknownColumns(source=written, function=self.function, reason=reason)

    def _path_struct(self, level: Level, name: str) -> list[tuple[str, str, str]] | None:
        for source in level.sources:
            for column in self._try_columns(source.probe) or ():
                if column.name.casefold() == name.casefold() and column.fields is not None:
                    held = identifier(name)
                    return [(field, f"({held}).{identifier(field)}", name) for field in column.fields]
        return None

    def _all_columns(self, level: Level, written: str) -> list[tuple[str, str, str]]:
        found: list[tuple[str, str, str]] = []
        merged: dict[str, int] = {}
        for source in level.sources:
            for column in self._columns(source.probe, written):
                key = column.name.casefold()
                prefix = f"{identifier(source.alias)}." if source.alias else ""
                sql = f"{prefix}{identifier(column.name)}"
                if key in merged:
                    # USING makes one column of two, which is NULL only where both are.
                    name, first, origin = found[merged[key]]
                    found[merged[key]] = (name, f"COALESCE({first}, {sql})", origin)
                    continue
                if level.merged is None or key in level.merged:
                    merged[key] = len(found)
                found.append((column.name, sql, source.alias))
        return found

    def _columns(self, probe: str, written: str) -> Sequence[Column]:
        try:
            return self.columns_of(probe)
        except EngineError as error:
            reason = str(error).splitlines()[0]
            raise UnknownColumns(source=written, function=self.function, reason=reason) from error

    def _try_columns(self, probe: str) -> Sequence[Column] | None:
        """None where the engine can't bind the item alone (a lateral one): the row is then bound when it comes."""
        try:
            return self.columns_of(probe)
        except EngineError:
            return None
