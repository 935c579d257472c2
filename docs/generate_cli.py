"""Writes docs/cli.md from the commands' help: `python docs/generate_cli.py`."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from sqlml.cli import COMMANDS, app, load

PAGE = Path(__file__).with_name("cli.md")

HEAD = """\
# The command line

`sqlml` and `python -m sqlml` are the same command. This page is generated from its help by
`python docs/generate_cli.py`.

## In every command

- The project is the nearest folder with a `sqlml.toml`, at or above the working directory; `--project FOLDER` names
  another. Without one, functions live in memory and are gone when the command ends.
- `--output json` prints the result as JSON on standard output. Errors, warnings and notes go to standard error.
- `--plan` prints what a command would do, and does nothing. For SQL that is `sqlml explain`.
- `--debug` shows where an error comes from (so does `SQLML_DEBUG=1`). Without it no traceback is printed.

| exit code | meaning |
|---|---|
| 0 | done; also where whoever reads the output has read enough (`sqlml sql ... \\| head`) |
| 1 | an error of sqlml, of the engine or of a file, in one sentence; `sqlml doctor` found something broken |
| 2 | the command line is wrong; `sqlml plan --check` found a difference |
| 70 | a bug in sqlml |
| 130 | interrupted with Ctrl-C; the running statement is stopped first |
| 143 | `sqlml tables refresh` was ended by SIGTERM; the running windows are stopped and recorded first |

## The forms of a result

`sqlml sql --output` takes one of four. All but `text` are written while the rows come, and never held whole. With
`--to FILE` the file takes its name when it is whole: a failure leaves the old file as it was.

- `text`: a table of the first `--max-rows` rows, as wide as the terminal; all columns, whole, in a pipe.
- `json`: one array, a row an object. Dates, times, decimals, intervals and UUIDs are text; integers of any size are
  numbers; NaN and the infinities are null; lists, structs, maps and JSON are arrays and objects. A second column `a` is
  called `a_1`.
- `csv`: a header, fields quoted as in RFC 4180, lines that end in a line feed. NULL is nothing, and an empty text is
  `""`; in a result of one column NULL is `""` too, for many readers pass over empty lines.
- `parquet`: a file, so that `--to` is needed. Intervals, bit strings, unions and times with a zone are text.

## Parameters

`--param` gives the values of `?` in their order, or of `$name` as `name=value`. A value that is JSON is what JSON says
(`3`, `1.5`, `true`, `null`, `[1, 2]`), any other is text; `'"007"'` is the text 007.

## The shell

Statements end with `;` and may take several lines. Tab completes keywords, tables, columns and functions; what was
typed is kept in `history` in the project's `.sqlml` folder, or in `~/.local/state/sqlml` without a project. Ctrl-C
stops a running statement and clears a half-typed one; Ctrl-D leaves.

| command | what it does |
|---|---|
"""


def page() -> str:
    """The whole page: what holds for all commands, then the help of each."""
    from sqlml.cli.dot import COMMANDS as DOTS

    os.environ["COLUMNS"] = "80"
    shell = "".join(f"| `{name}` | {help.replace('|', chr(92) + '|')} |\n" for name, (help, _) in DOTS.items())
    return HEAD + shell + "".join(f"\n## `{' '.join(path)}`\n\n```text\n{text(path)}\n```\n" for path in paths())


def paths() -> Iterator[tuple[str, ...]]:
    """Each command, and the commands under it."""
    yield ("sqlml",)
    for name, command in COMMANDS.items():
        if importlib.util.find_spec(command.module) is None:
            continue
        yield ("sqlml", name)
        below: dict[str, Any] = getattr(load(name), "commands", {})
        yield from (("sqlml", name, inner) for inner in below)


def text(path: tuple[str, ...]) -> str:
    """The help of a command."""
    done = CliRunner().invoke(app, [*path[1:], "--help"], prog_name="sqlml")
    assert done.exit_code == 0, done.output
    return "\n".join(line.rstrip() for line in done.output.strip().splitlines())


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page(), encoding="utf-8")
        sys.stdout.write(f"{PAGE}\n")
