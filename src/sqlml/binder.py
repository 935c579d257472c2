"""One call's arguments, bound to a model's by row, by name or by position."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlml.engines.engine import Column, Exact
from sqlml.errors import EngineError, UnknownArgument, UnknownColumn, UnknownColumns, did_you_mean, quoted
from sqlml.models.answering import match_names, wrong_count
from sqlml.models.description import Argument
from sqlml.query.calls import Arguments, Names, Positions, Star, StructLiteral
from sqlml.query.scope import Level, Scope
from sqlml.query.text import Span, identifier

Piece = str | Span
"""SQL of an argument: new text, or a stretch of the statement, in which calls may stand."""

ColumnsOf = Callable[[str], Sequence[Column]]
"""The engine's answer to which columns a query has; may raise EngineError."""

Bound = tuple[str, list[Piece], tuple[str, ...] | None]
"""How it was bound, the argument list, and the arguments' names where a row was taken apart."""


class Binder:
    """Binds one call's arguments to the model's."""

    def __init__(
        self,
        text: str,
        function: str,
        arguments: Sequence[Argument],
        scope: Scope | None,
        columns_of: ColumnsOf,
        dialect: str = "duckdb",
    ) -> None:
        self.text = text
        self.function = function
        self.arguments = arguments
        self.scope = scope
        self.columns_of = columns_of
        self.dialect = dialect

    def bind(self, given: Arguments) -> Bound:
        """Bind what a call was given.

        Raises:
            BindingError: it doesn't fit the model; the message names what, and the nearest name.
        """
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
                    refs = [(c.name, self._reference(f"{self._quoted(path[-1])}.", c)) for c in columns]
                    return self._row(refs, f"the row of '{path[-1]}'")
        return "position", [only], None

    def _column(self, only: Span, path: tuple[str, ...], column: Column) -> Bound:
        if column.fields is None:
            return "position", [only], None
        held = ".".join(self._quoted(name) for name in path)
        refs = [(field, f"({held}).{self._quoted(field)}") for field in column.fields]
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
            if (None, key) in star.exclude or (origin.casefold(), key) in star.exclude:
                continue
            if key in star.replace:
                kept.append((name, star.replace[key], origin))
            else:
                kept.append((star.rename.get(key, name), sql, origin))
        present = {name.casefold() for name, _, _ in columns}
        for asked in (*(name for _, name in star.exclude), *star.replace, *star.rename):
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
                    prefix = f"{self._quoted(star.qualifier)}."
                    return [(c.name, self._reference(prefix, c), source.alias) for c in held]
            held_struct = self._path_struct(level, star.qualifier)
            if held_struct is not None:
                return held_struct
        reason = "sqlml can't read the statement" if self.scope is None else "no table of that name stands in FROM"
        raise UnknownColumns(source=written, function=self.function, reason=reason)

    def _path_struct(self, level: Level, name: str) -> list[tuple[str, str, str]] | None:
        for source in level.sources:
            for column in self._try_columns(source.probe) or ():
                if column.name.casefold() == name.casefold() and column.fields is not None:
                    held = self._quoted(name)
                    return [(field, f"({held}).{self._quoted(field)}", name) for field in column.fields]
        return None

    def _all_columns(self, level: Level, written: str) -> list[tuple[str, str, str]]:
        found: list[tuple[str, str, str]] = []
        merged: dict[str, int] = {}
        for source in level.sources:
            for column in self._columns(source.probe, written):
                key = column.name.casefold()
                # A file in FROM ('data/t.csv') is called by a part of its name, which is the engine's affair.
                has_name = source.alias and not set(source.alias) & set("./")
                prefix = f"{self._quoted(source.alias)}." if has_name else ""
                sql = self._reference(prefix, column)
                if key in merged:
                    # USING makes one column of two, which is NULL only where both are.
                    name, first, origin = found[merged[key]]
                    found[merged[key]] = (name, f"COALESCE({first}, {sql})", origin)
                    continue
                if level.merged is None or key in level.merged:
                    merged[key] = len(found)
                found.append((column.name, sql, source.alias))
        return found

    def _reference(self, prefix: str, column: Column) -> str:
        sql = f"{prefix}{self._quoted(column.name)}"
        return Exact(sql) if column.exact else sql

    def _quoted(self, name: str) -> str:
        return identifier(name, self.dialect)

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
