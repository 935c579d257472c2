"""All flights of 2013, day by day: by DuckDB from the shell, and by spark-submit. Both tables are the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sqlml
from sqlml.cli.demo_data import load_tables, make_project
from sqlml.cli.demo_models import train_and_log

pytestmark = [pytest.mark.long, pytest.mark.spark]

DECLARED = """CREATE PREDICTION TABLE {name}
  PARTITIONED BY (flight_date)
  INCREMENTAL ON time_hour EVERY INTERVAL '1' DAY LOOKBACK INTERVAL '2' DAY START TIMESTAMP '2013-01-01'
  KEY (year, month, day, carrier, flight, origin)
  SCHEDULE CRON '0 3 * * *' AT TIME ZONE 'America/New_York'
  AUDIT (not_null(risk), between(risk, 0, 1), min_rows(1))
AS SELECT make_date(year, month, day) AS flight_date, time_hour, year, month, day, carrier, flight, origin,
  delay_risk_score(f) AS risk
FROM flights AS f"""
WITHOUT_KEY = DECLARED.replace("  KEY (year, month, day, carrier, flight, origin)\n", "")
COUNTS = "SELECT count(*), count(DISTINCT _run_id), min(flight_date)::VARCHAR, max(flight_date)::VARCHAR FROM"
DIFFERENT = """
    SELECT count(*) FROM predictions.by_duckdb AS d
    FULL JOIN predictions.by_spark AS s USING (flight_date, time_hour, year, month, day, carrier, flight, origin)
    WHERE d.risk IS NULL OR s.risk IS NULL OR abs(d.risk - s.risk) > 1e-9 * d.risk OR d._model <> s._model
"""


@pytest.fixture
def project(tmp_path) -> Path:
    """The demo's data and its model, the flights as a file that both engines read."""
    folder = tmp_path / "flights"
    make_project(folder)
    with sqlml.connect(project=folder) as db:
        load_tables(db, folder)
        train_and_log(db, "delay_risk", 20_000)
        db.sql("CREATE FUNCTION delay_risk USING MODEL 'models:/delay_risk@champion'")
        db.sql("SET TimeZone = 'UTC'")
        db.sql(f"COPY flights_ready TO '{folder}/ready.parquet'")
    (folder / "flights.duckdb").unlink()
    with (folder / "sqlml.toml").open("a", encoding="utf-8") as settings:
        settings.write('\n[sources]\nflights = "ready.parquet"\n')
    return folder


def test_a_year_of_flights_on_both_engines(project):
    import pyspark

    home = Path(pyspark.__file__).parent
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_HOME": str(home)}
    job = Path(__file__).parents[2] / "spark_jobs" / "materialize.py"
    submit = [str(home / "bin" / "spark-submit"), "--master", "local[2]", "--conf", "spark.ui.enabled=false"]
    submit += ["--conf", "spark.sql.session.timeZone=UTC", str(job), "--project", str(project), "--table", "by_spark"]

    def run(command: list[str]) -> str:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    with sqlml.connect(project=project) as db:
        db.sql(WITHOUT_KEY.format(name="by_duckdb"))
        db.sql(WITHOUT_KEY.format(name="by_spark"))
    assert "365 windows" in run([*submit, "--plan"])
    assert "365 windows published, 336,776 rows" in run([sys.executable, "-m", "sqlml", "tables", "refresh",
                                                         "by_duckdb", "--project", str(project)])  # fmt: skip
    assert "365 windows published, 336,776 rows" in run([*submit, "--jobs", "2"])
    with sqlml.connect(project=project) as db:
        for name in ("by_duckdb", "by_spark"):
            held = db.sql(f"{COUNTS} predictions.{name}").fetchall()
            assert held == [(336_776, 365, "2013-01-01", "2013-12-31")]
        assert db.sql(DIFFERENT).fetchall() == [(0,)]
        direct = "SELECT sum(delay_risk_score(f)) FROM flights AS f"
        kept, asked = (db.sql(one).fetchall()[0][0] for one in ("SELECT sum(risk) FROM predictions.by_spark", direct))
        assert abs(kept - asked) <= 1e-9 * asked
    # Late rows of the last two days are looked for, and no others.
    assert "2 windows published" in run(submit)


def test_flights_merged_by_key(project):
    with sqlml.connect(project=project) as db:
        db.sql(DECLARED.format(name="merged"))
        db.refresh("merged", start="2013-01-01", end="2013-03-01")
        wanted = db.sql("SELECT count(*), round(sum(risk), 6) FROM predictions.merged").fetchall()
        db.refresh("merged", start="2013-02-01", end="2013-02-08")
        assert db.sql("SELECT count(*), round(sum(risk), 6) FROM predictions.merged").fetchall() == wanted
