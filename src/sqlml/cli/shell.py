"""`sqlml shell`: a prompt, and the same statements from a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from sqlml.cli.completion import Names
from sqlml.cli.dot import COMMANDS, Shell
from sqlml.cli.failing import ERROR, show
from sqlml.cli.opening import opened
from sqlml.cli.options import Database, Debug, Output, Project, TrustPickle
from sqlml.cli.statements import is_complete, split, typed
from sqlml.errors import SqlmlError
from sqlml.session import Session

PROMPT, CONTINUED = "sqlml> ", "   ... "


def shell(
    output: Output = "text",
    database: Database = None,
    project: Project = None,
    trust_pickle: TrustPickle = False,
    debug: Debug = False,
) -> None:
    """Run SQL as you type it; a write changes your data.

    Example:
      sqlml shell
      echo "SELECT 42 AS answer;" | sqlml shell

    A statement ends with ';' and may take several lines. Tab completes. Ctrl-C
    stops a running statement and clears a half-typed one, Ctrl-D leaves. '.help'
    lists the shell's own commands. A piped script stops at its first error.
    """
    with opened(project, database, trust_pickle=trust_pickle) as session:
        if sys.stdin.isatty():
            _prompt(Shell(session, output, timing=True))
        else:
            _script(Shell(session, output, timing=False))


def _script(shell: Shell) -> None:
    for statement in typed(sys.stdin):
        try:
            shell.run(statement)
        except SqlmlError as error:
            show(error, one_line=True)
            raise typer.Exit(ERROR) from error
        sys.stdout.flush()
        if shell.left:
            return


def _prompt(shell: Shell) -> None:
    typer.echo("sqlml: statements end with ';', '.help' lists the shell's commands, Ctrl-D leaves.")
    names = Names(shell.session, COMMANDS)
    for text in _typed(names, history(shell.session)):
        try:
            for statement in split(text):
                shell.run(statement)
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
        except Exception as error:  # noqa: BLE001 - one bad statement, or one bug, must not end a session
            show(error, one_line=True)
        if shell.left:
            return


def _typed(names: Names, history: History) -> Iterator[str]:
    """What is typed, until Ctrl-D."""
    prompt: PromptSession[str] = PromptSession(
        PROMPT,
        history=history,
        completer=names,
        complete_while_typing=False,
        # Enter ends a complete statement, and the line of one that isn't.
        multiline=Condition(lambda: not is_complete(get_app().current_buffer.document.text)),
        prompt_continuation=CONTINUED,
    )
    while True:
        names.refresh()
        try:
            yield prompt.prompt()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def history(session: Session) -> History:
    """What was typed in earlier shells of the project; of this one only, where no file can be written."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = session.settings.state_folder or state / "sqlml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "history").touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(folder / "history"))
