"""`sqlml shell`: piped, and at a terminal (a pseudo-terminal that the test types into)."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from sqlml.cli.completion import Names
from sqlml.cli.dot import COMMANDS

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[=>]|\r")


def test_a_script_from_a_pipe(run):
    script = (
        "CREATE TABLE t AS\n  SELECT 41 AS a;\nINSERT INTO t VALUES (1); .tables\n;\nSELECT sum(a) AS s -- ;\nFROM t;\n"
    )
    out = run("shell", stdin=script.replace(" .tables\n;", "")).stdout
    assert "42" in out
    assert "ms)" not in out


def test_a_script_without_a_last_semicolon(run):
    assert "42" in run("shell", stdin="SELECT 42").stdout


def test_a_script_prints_json(run):
    assert json.loads(run("shell", "--output", "json", stdin="SELECT 42 AS a;").stdout) == [{"a": 42}]


def test_a_script_stops_at_its_first_error(run):
    done = run("shell", stdin="SELECT 1 AS first;\nSELEC;\nSELECT 2 AS second;", code=1)
    assert "first" in done.stdout
    assert "second" not in done.stdout
    assert len(done.stderr.splitlines()) == 1


def test_the_commands_of_the_shell(run):
    script = (
        "CREATE TABLE t (a INTEGER);\n.help\n.tables\n.functions\n.timing on\nSELECT 1;\n.explain SELECT 1\n.quit\n"
    )
    done = run("shell", stdin=script + "SELEC")
    assert all(name in done.stdout for name in COMMANDS)
    assert "\nt\n" in done.stdout
    assert "Timing is on." in done.stdout
    assert re.search(r"\(\d+ ms\)", done.stdout)
    assert "duckdb" in done.stdout


@pytest.mark.parametrize(
    ("typed", "said"),
    [(".table", "Did you mean '.tables'?"), (".timing maybe", "'on', 'off'"), (".explain", "a statement")],
)
def test_a_wrong_command_of_the_shell(run, typed, said):
    assert said in run("shell", stdin=typed, code=1).stderr


class Terminal:
    """The shell at a terminal."""

    def __init__(self, *arguments):
        self.ours, theirs = pty.openpty()
        environment = os.environ | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "COLUMNS": "80", "LINES": "24"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sqlml", "shell", *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
            # Its own terminal, for Ctrl-C to become a signal.
            preexec_fn=lambda: (os.setsid(), __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0)),
        )  # fmt: skip
        os.close(theirs)
        self.seen = ""

    def type(self, text):
        os.write(self.ours, text.encode())

    def wait(self, expected, timeout=30):
        """Read until something is there; gives what came up to it."""
        until = time.monotonic() + timeout
        while not (found := re.search(expected, self.seen)):
            ready, _, _ = select.select([self.ours], [], [], max(0, until - time.monotonic()))
            assert ready, (expected, self.seen)
            try:
                self.seen += ESCAPES.sub("", os.read(self.ours, 65536).decode(errors="replace"))
            except OSError:
                raise AssertionError((expected, self.seen)) from None
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before

    def end(self):
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self.ours)


@pytest.fixture
def terminal(project):
    opened = []

    def start(*arguments):
        opened.append(Terminal(*arguments))
        opened[-1].wait("sqlml>")
        return opened[-1]

    yield start
    for one in opened:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_a_session_at_a_terminal(terminal, project):
    shell = terminal()
    shell.type("SELECT 40\r")
    shell.wait(r"\.\.\.")
    shell.type("+ 2 AS answer;\r")
    assert "42" in shell.wait(r"\(\d+ ms\)")
    shell.wait("sqlml>")
    shell.type("SELEC;\r")
    shell.wait("Error: Parser Error: [^\n]*\n")
    shell.wait("sqlml>")
    shell.type("SELECT 'half")
    shell.wait("half")
    shell.type("\x03")
    shell.wait("sqlml>")
    shell.type("SELECT 6 * 7 AS again;\r")
    assert "42" in shell.wait(r"\(\d+ ms\)")
    shell.wait("sqlml>")
    shell.type("\x04")
    assert shell.end() == 0
    history = (project / ".sqlml" / "history").read_text()
    assert "+SELECT 40\n++ 2 AS answer;" in history


def test_ctrl_c_stops_a_statement_and_not_the_shell(terminal):
    shell = terminal()
    shell.type("SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE hash(a.range, b.range) = 7;\r")
    time.sleep(2)
    shell.process.send_signal(signal.SIGINT)
    shell.wait("Interrupted.")
    shell.wait("sqlml>")
    shell.type("SELECT 40 + 2 AS answer;\r")
    assert "42" in shell.wait(r"\(\d+ ms\)")
    shell.wait("sqlml>")
    shell.type(".quit\r")
    assert shell.end() == 0


def test_tab_completes_and_the_history_is_kept(terminal):
    shell = terminal()
    shell.type("CREATE TABLE penguins (bill INTEGER);\r")
    shell.wait(r"\(\d+ ms\)")
    shell.wait("sqlml>")
    shell.type("DESCRIBE pengu\t")
    shell.wait("penguins")
    shell.type(";\r")
    assert "bill" in shell.wait(r"\(\d+ ms\)")
    shell.wait("sqlml>")
    shell.type("\x04")
    assert shell.end() == 0
    again = terminal()
    again.type("\x1b[A")
    again.wait("DESCRIBE penguins;")
    again.type("\x03\x04")
    assert again.end() == 0


def test_what_is_completed(registered):
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    import sqlml

    with sqlml.connect(project=registered) as session:
        session.sql("CREATE TABLE flights (distance INTEGER)")
        names = Names(session, COMMANDS)
        names.refresh()

        def completed(text):
            return [one.text for one in names.get_completions(Document(text), CompleteEvent())]

        assert completed("SELECT lat") == ["late(", "late_proba(", "late_score("]
        assert completed("FROM fligh") == ["flights"]
        assert completed("SELECT dista") == ["distance"]
        assert completed("sel") == ["SELECT"]
        assert completed(".ti") == [".timing"]
        assert completed("SELECT ") == []


def test_the_history_without_a_project(command, tmp_path, monkeypatch):
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    import sqlml
    from sqlml.cli.shell import history

    folder = tmp_path / "nowhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with sqlml.connect() as session:
        held = history(session)
        assert isinstance(held, FileHistory)
        assert held.filename == str(tmp_path / "home" / ".local" / "state" / "sqlml" / "history")
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
        assert isinstance(history(session), InMemoryHistory)
