"""Several threads, a statement that is stopped, and a process that ends without a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sql.asking import answers, same

SOURCE = str(Path(__file__).parents[2] / "src")
LONG = "SELECT sum(churn_score(i % 60, 20.0, 'pro', 'north')) FROM range(1_000_000_000) AS t(i)"


def test_a_cursor_a_thread(db, models):
    wanted = {"line": answers(models["line"]), "logit_score": answers(models["logit"], "score")}

    def ask(name: str) -> None:
        with db.cursor() as cursor:
            for _ in range(10):
                found = cursor.sql(f"SELECT {name}(*) FROM pairs ORDER BY id").fetchall()
                same([value for (value,) in found], wanted[name])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, ["line", "logit_score"] * 4))
    same([value for (value,) in db.sql("SELECT line(p) FROM pairs AS p ORDER BY id").fetchall()], wanted["line"])


def test_one_session_in_two_threads_never_answers_wrongly(db):
    """It is for one thread at a time: an error is allowed, another statement's answer is not."""
    wrong = []

    def ask(number: int) -> None:
        for _ in range(25):
            try:
                found = db.sql(f"SELECT {number}, square({number}) FROM range(10)").fetchall()
            except Exception:  # noqa: BLE001
                continue
            if len(found) != 10 or any(row[0] != number or abs(row[1] - 2 * number) > 1e-9 for row in found):
                wrong.append(found)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ask, [3, 11]))
    assert not wrong
    assert db.sql("SELECT abs(square(3) - 6) < 1e-9").fetchall() == [(True,)]


def test_an_interrupt_stops_the_statement(db):
    timer = threading.Timer(0.5, db.interrupt)
    timer.start()
    started = time.monotonic()
    with pytest.raises(Exception, match=r"(?i)interrupt"):
        db.sql(LONG).fetchall()
    assert time.monotonic() - started < 20
    timer.join()
    assert db.sql("SELECT line(1, 1) IS NULL").fetchall() == [(False,)]


def environment() -> dict[str, str]:
    held = {name: value for name, value in os.environ.items() if not name.startswith(("SQLML_", "MLFLOW_"))}
    return held | {"PYTHONPATH": SOURCE}


def child(world, body: str) -> subprocess.Popen:
    program = f"import sqlml\ndb = sqlml.connect(project={str(world.folder)!r})\n{body}"
    command = [sys.executable, "-u", "-c", program]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())


def test_ctrl_c_stops_the_command(world):
    """In the command, which listens for it: in a program, DuckDB itself sees no Ctrl-C while it works."""
    command = [sys.executable, "-m", "sqlml", "sql", LONG, "--project", str(world.folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            time.sleep(4)
            process.send_signal(signal.SIGINT)
            printed, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, printed) == (130, "")
    assert "Traceback" not in said


ENDINGS = {
    "without close, a cursor and a relation left": """
other = db.cursor()
other.sql("SELECT line(1, 2)").fetchall()
held = db.sql("SELECT line(i, i) FROM range(5000) t(i)")
""",
    "closed twice, after an error": """
try:
    db.sql("SELECT line(1)").fetchall()
except Exception:
    db.close()
db.close()
""",
    "a connection of the user's": """
import duckdb
con = duckdb.connect()
mine = sqlml.connect(con)
con.sql("SELECT 1").fetchall()
""",
    "an error that ends it": "raise SystemExit(0)",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_process_ends_without_a_word(world, ending):
    used = "print(len(db.sql('SELECT line(i, i), churn(1, 2, $$pro$$, $$x$$) FROM range(9) t(i)').fetchall()))"
    with child(world, f"{used}\n{ENDINGS[ending]}") as process:
        try:
            printed, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, printed, said) == (0, "9\n", "")
