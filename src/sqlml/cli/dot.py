"""What the shell does with what was typed: run it, or carry out a command of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Literal

from sqlml.cli.outputs import write
from sqlml.cli.plans import print_plan
from sqlml.cli.rows import Result
from sqlml.cli.running import interruptibly
from sqlml.errors import SyntaxMistake, UnknownOption, did_you_mean, quoted
from sqlml.session import Session


class Shell:
    """A session, how its results are printed, and whether it was left."""

    def __init__(self, session: Session, output: Literal["text", "json"], *, timing: bool) -> None:
        self.session, self.output, self.timing = session, output, timing
        self.left = False

    def run(self, text: str) -> None:
        """Run a statement, or a command that begins with a dot.

        Raises:
            SqlmlError: whatever stands against it.
            KeyboardInterrupt: Ctrl-C, once the statement has stopped.
        """
        if text.startswith("."):
            self._command(text)
            return
        began = time.perf_counter()
        interruptibly(self.session, lambda: self._statement(text))
        if self.timing:
            sys.stdout.write(f"({duration(time.perf_counter() - began)})\n")

    def _statement(self, text: str) -> None:
        relation = self.session.sql(text)
        if relation is not None:
            write(Result(self.session, relation), self.output)

    def _command(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        command = COMMANDS.get(name.casefold())
        if command is None:
            raise UnknownOption(
                statement="The shell",
                what="command",
                value=name,
                valid=quoted(COMMANDS),
                suggestion=did_you_mean(name, COMMANDS),
            )
        command[1](self, rest.strip().rstrip(";"))


def duration(seconds: float) -> str:
    """How long something took, as people say it.

    Example:
        >>> duration(0.0123), duration(2.5), duration(75)
        ('12 ms', '2.50 s', '1 min 15 s')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _help(shell: Shell, rest: str) -> None:
    sys.stdout.write("".join(f"{name:<11} {help}\n" for name, (help, _) in COMMANDS.items()))


def _functions(shell: Shell, rest: str) -> None:
    shell.run("SHOW FUNCTIONS")


def _tables(shell: Shell, rest: str) -> None:
    sys.stdout.write("".join(f"{name}\n" for name in shell.session.tables()) or "There are no tables.\n")


def _timing(shell: Shell, rest: str) -> None:
    if rest.casefold() not in ("", "on", "off"):
        raise SyntaxMistake(statement=".timing", expected="'on', 'off' or nothing", found=f"'{rest}'")
    shell.timing = not shell.timing if not rest else rest.casefold() == "on"
    sys.stdout.write(f"Timing is {'on' if shell.timing else 'off'}.\n")


def _explain(shell: Shell, rest: str) -> None:
    if not rest:
        raise SyntaxMistake(statement=".explain", expected="a statement", found="the end")
    print_plan(shell.session, rest, shell.output)


def _quit(shell: Shell, rest: str) -> None:
    shell.left = True


COMMANDS: Mapping[str, tuple[str, Callable[[Shell, str], None]]] = {
    ".help": ("This list.", _help),
    ".functions": ("The functions of the catalog: SHOW FUNCTIONS.", _functions),
    ".tables": ("The tables and views.", _tables),
    ".timing": ("Print how long a statement took, or stop that: .timing on|off", _timing),
    ".explain": ("What a statement would do: .explain SELECT ...", _explain),
    ".quit": ("Leave, as Ctrl-D does.", _quit),
}
