"""What Tab offers in the shell: keywords, functions, tables and columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from sqlml.errors import SqlmlError
from sqlml.session import Session

# fmt: off
KEYWORDS = (
    "ALL", "AND", "ANTI", "AS", "ASC", "BETWEEN", "BY", "CASE", "CAST", "CREATE", "CROSS", "DELETE", "DESC",
    "DESCRIBE", "DISTINCT", "DROP", "ELSE", "END", "EXCEPT", "EXCLUDE", "EXISTS", "EXPLAIN", "FALSE", "FILTER",
    "FROM", "FULL", "FUNCTION", "FUNCTIONS", "GROUP", "HAVING", "ILIKE", "IN", "INNER", "INSERT", "INTERSECT",
    "INTERVAL", "INTO", "IS", "JOIN", "LEFT", "LIKE", "LIMIT", "MODEL", "NOT", "NULL", "OFFSET", "ON", "OPTIONS",
    "OR", "ORDER", "OUTER", "OVER", "PARTITION", "PREDICT", "QUALIFY", "REPLACE", "RIGHT", "SELECT", "SEMI", "SET",
    "SHOW", "STRUCT", "SUMMARIZE", "TABLE", "THEN", "TRUE", "UNION", "UPDATE", "USING", "VALUES", "VIEW", "WHEN",
    "WHERE", "WINDOW", "WITH",
)
# fmt: on
GENERIC = ("predict(", "predict_proba(", "predict_score(", "ML.PREDICT(")
OUTPUTS = {"predict": "", "score": "_score", "proba": "_proba"}

# A catalog with more would make every prompt wait.
_MOST_COLUMNS = 5_000


class Names(Completer):
    """The names that a session knows, as of the last `refresh`."""

    def __init__(self, session: Session, commands: Mapping[str, Any]) -> None:
        self._session, self._commands = session, list(commands)
        self._known: dict[str, str] = {}

    def refresh(self) -> None:
        """Ask the session again; names that can't be had are done without."""
        known = dict.fromkeys(KEYWORDS, "keyword") | dict.fromkeys(GENERIC, "function")
        try:
            known |= dict.fromkeys(self._columns(), "column")
            known |= dict.fromkeys(self._session.tables(), "table")
            for function in self._session.functions():
                known |= {f"{function.name}{OUTPUTS[output]}(": "function" for output in function.outputs}
        except SqlmlError:
            pass
        self._known = known

    def _columns(self) -> list[str]:
        found = self._session.sql(f"SELECT DISTINCT column_name FROM information_schema.columns LIMIT {_MOST_COLUMNS}")
        return [str(name) for (name,) in found.fetchall()]

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """The names that begin as the word before the cursor does, in any case."""
        before = document.text_before_cursor
        if before.lstrip().startswith("."):
            word = before.lstrip()
            yield from (Completion(name, -len(word)) for name in self._commands if name.startswith(word))
            return
        word = document.get_word_before_cursor(WORD=False)
        if not word.strip():
            return
        for name, kind in sorted(self._known.items(), key=lambda item: item[0].casefold()):
            if name.casefold().startswith(word.casefold()):
                yield Completion(name, -len(word), display_meta=kind)
