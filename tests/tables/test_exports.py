"""The files that run the tables elsewhere, read by what they are written for where it is on this machine."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import sqlml
from sqlml.errors import CannotExport, TableCycle
from sqlml.tables.exports import Exported, Places, airflow, cron, systemd
from sqlml.tables.schedule import Schedule
from tables import small

NIGHTLY = Schedule("30 2 * * *", "America/New_York")
CHAMPION = (("delay_risk", "models:/delay_risk@champion"), ("old_risk", "models:/old_risk/3"))
PLACES = Places(Path("/srv/flights"), ("/opt/sqlml/bin/sqlml",))
HOSTILE = 'we\'ird {{ 7 * 7 }} {% raw %} {{{# 100% $HOME \\ "x".sh'

AIRFLOW = os.environ.get("SQLML_AIRFLOW_PYTHON")
needs_airflow = pytest.mark.skipif(
    AIRFLOW is None, reason="SQLML_AIRFLOW_PYTHON names no Python that has Airflow: `make airflow` makes one"
)
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="there is no systemd-analyze")


def table(name: str, schedule: Schedule | None = NIGHTLY, **other: Any) -> Exported:
    given = {"reads": (), "retries": 2, "timeout_seconds": 600, "engine": "duckdb", "functions": CHAMPION, **other}
    return Exported(name, schedule, **given)


TABLES = [
    table("report", reads=("daily", "elsewhere"), engine="spark", retries=0),
    table("daily", reads=("flights",)),
    table("weekly", Schedule("0 4 * * mon", "Europe/Berlin"), reads=("daily",), functions=()),
    table("once", None),
]


# Airflow


def dags(text: str) -> dict[str, ast.With]:
    """The blocks of a file that make DAGs, by their ids."""
    blocks = [node for node in ast.parse(text).body if isinstance(node, ast.With)]
    return {keyword(block.items[0].context_expr, "dag_id"): block for block in blocks}


def keyword(call: Any, name: str) -> Any:
    found = next(one.value for one in call.keywords if one.arg == name)
    return ast.literal_eval(found) if isinstance(found, ast.Constant | ast.List) else ast.unparse(found)


def scripts(block: ast.With) -> dict[str, str]:
    """The scripts of a DAG's tasks, by their ids."""
    calls = [node for node in ast.walk(block) if isinstance(node, ast.Call) and ast.unparse(node.func) == "task"]
    return {ast.literal_eval(call.args[0]): ast.literal_eval(call.args[1]) for call in calls}


def test_a_schedule_is_a_dag():
    found = dags(airflow(TABLES, PLACES))
    assert list(found) == [
        "sqlml.flights.30_2_x_x_x.America.New_York",
        "sqlml.flights.by_hand",
        "sqlml.flights.0_4_x_x_mon.Europe.Berlin",
    ]
    nightly, by_hand, weekly = found.values()
    assert list(scripts(nightly)) == ["follow_models", "refresh_daily", "refresh_report"]
    assert list(scripts(by_hand)) == ["follow_models", "refresh_once"]
    assert list(scripts(weekly)) == ["refresh_weekly"]
    made = nightly.items[0].context_expr
    assert keyword(made, "schedule") == "CronTriggerTimetable('30 2 * * *', timezone='America/New_York')"
    assert (keyword(made, "catchup"), keyword(made, "max_active_runs")) == (False, 1)
    assert keyword(made, "tags") == ["duckdb", "spark", "sqlml"]
    assert keyword(by_hand.items[0].context_expr, "schedule") is None


def test_what_the_tasks_run():
    nightly = scripts(
        dags(airflow(TABLES, PLACES, train="python train.py && ./notify.sh"))[
            "sqlml.flights.30_2_x_x_x.America.New_York"
        ]
    )
    begin = "set -e\ncd /srv/flights\n"
    assert nightly["train"] == f"{begin}python train.py && ./notify.sh\n"
    assert nightly["follow_models"] == f"{begin}/opt/sqlml/bin/sqlml sync delay_risk\n"
    assert nightly["refresh_daily"] == (
        f'{begin}/opt/sqlml/bin/sqlml tables refresh daily --scheduled-for "{{{{ slot(dag_run) }}}}"\n'
    )


def test_tasks_wait_for_what_they_read():
    text = airflow(TABLES, PLACES, train="true")
    assert "    train >> models\n" in text
    assert "    refresh['daily'].set_upstream([models])\n" in text
    assert "    refresh['report'].set_upstream([models, refresh['daily']])\n" in text
    assert "refresh['weekly'].set_upstream" not in text, "what it reads is of another schedule"


def test_training_comes_before_what_follows_an_alias_alone():
    assert "'train'" not in airflow([table("t", functions=(("f", "models:/f/3"),))], PLACES, train="true")


def test_a_hostile_name_is_only_a_name():
    jinja2 = pytest.importorskip("jinja2")
    places = Places(Path("/srv/{{ x }} 'y'"), ("/opt/{# a #}/sqlml",))
    [block] = dags(airflow([table(HOSTILE)], places)).values()
    [(_, sync), (name, script)] = scripts(block).items()
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)
    rendered = jinja2.Template(script).render(slot=lambda run: run, dag_run="2024-01-01T00:00:00Z")
    _, cd, call = rendered.splitlines()
    assert shlex.split(cd) == ["cd", "/srv/{{ x }} 'y'"]
    refresh = ["tables", "refresh", HOSTILE, "--scheduled-for", "2024-01-01T00:00:00Z"]
    assert shlex.split(call) == ["/opt/{# a #}/sqlml", *refresh]
    assert jinja2.Template(sync).render().splitlines()[1] == cd


@pytest.mark.parametrize("export", [airflow, systemd, cron])
def test_tables_that_read_each_other_are_not_exported(export):
    with pytest.raises(TableCycle, match="a -> b -> a"):
        export([table("a", reads=("b",)), table("b", reads=("a",))], PLACES)


# Run by the Python that has Airflow: what it makes of a folder of DAGs, and of some runs.
RUNNER = """
import json, sys, warnings
from datetime import datetime
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.timetables.base import TimeRestriction

def moments(timetable, begin):
    last, found = None, []
    for _ in range(40):
        restriction = TimeRestriction(datetime.fromisoformat(begin), None, catchup=True)
        made = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        found.append(made.run_after.isoformat())
        last = made.data_interval
    return found

# The forty days from each of them have a change of the clocks, wherever there is one.
BEGINS = ("2024-03-07T12:00:00+00:00", "2024-10-03T12:00:00+00:00")
folder, *runs = sys.argv[1:]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    bag = DagBag(dag_folder=folder)
told = [str(one.message) for one in caught if folder in str(one.filename)]
told += [one for found in bag.captured_warnings.values() for one in found]
answer = {"errors": bag.import_errors, "warnings": told, "dags": {}, "runs": []}
for dag_id, dag in bag.dags.items():
    answer["dags"][dag_id] = {
        "tasks": {one.task_id: sorted(one.upstream_task_ids) for one in dag.tasks},
        "moments": [moments(dag.timetable, begin) for begin in BEGINS] if dag.schedule else None,
        "catchup": dag.catchup,
        "retries": {one.task_id: one.retries for one in dag.tasks},
        "timeouts": {one.task_id: one.execution_timeout and one.execution_timeout.total_seconds() for one in dag.tasks},
    }
for run in runs:
    dag_id, moment = run.split("=")
    logical_date = None if moment == "None" else datetime.fromisoformat(moment)
    result = bag.dags[dag_id].test(logical_date=logical_date)
    states = {one.task_id: [str(one.state), one.try_number] for one in result.get_task_instances()}
    answer["runs"].append({"state": str(result.state), "tasks": states, "run_after": result.run_after.isoformat()})
print("ANSWER", json.dumps(answer))
"""


class Field:
    """A project whose command writes down how it was called, and an Airflow of its own."""

    def __init__(self, folder: Path, name: str = "flights") -> None:
        self.project = folder / name
        self.home = folder / "airflow"
        self.calls = folder / "calls.txt"
        self.command = folder / "bin" / "sqlml"
        for one in (self.project, self.home / "dags", self.command.parent):
            one.mkdir(parents=True)
        self.places = Places(self.project, (str(self.command),))

    def stand_in(self, failing: str = "nothing", hanging: str = "nothing") -> None:
        """A command that fails the first time that it is called with a word, and hangs with another."""
        script = f"""\
#!/bin/sh
printf '%s\\t' "$(pwd)" "$@" >> {shlex.quote(str(self.calls))}
echo >> {shlex.quote(str(self.calls))}
case " $* " in
*" {failing} "*) [ -e failed ] || {{ touch failed; exit 1; }};;
*" {hanging} "*) sleep 600;;
esac
"""
        self.command.write_text(script)
        self.command.chmod(0o755)

    def run(self, text: str, *runs: str) -> Any:
        """Load a file, run DAGs of it, and tell how both went."""
        (self.home / "dags" / "sqlml_tables.py").write_text(text)
        environment: Mapping[str, str] = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "false",
        }
        for words in (["-m", "airflow", "db", "migrate"], ["-c", RUNNER, str(self.home / "dags"), *runs]):
            done = subprocess.run(
                [str(AIRFLOW), *words], env=environment, capture_output=True, text=True, timeout=600, check=False
            )
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        [answer] = re.findall(r"^ANSWER (.*)$", done.stdout, re.MULTILINE)
        return json.loads(answer)

    def called(self) -> list[list[str]]:
        """The words of each call, in order."""
        lines = self.calls.read_text().splitlines()
        assert {line.split("\t")[0] for line in lines} == {str(self.project)}
        return [line.rstrip("\t").split("\t")[1:] for line in lines]


@pytest.fixture
def field(tmp_path: Path) -> Field:
    return Field(tmp_path)


NIGHTLY_DAG = "sqlml.flights.30_2_x_x_x.America.New_York"


@pytest.mark.long
@needs_airflow
def test_airflow_runs_the_tables_and_tries_again(field):
    field.stand_in(failing="daily")
    text = airflow(TABLES, field.places, train=f"{shlex.quote(str(field.command))} train")
    answer = field.run(text, f"{NIGHTLY_DAG}=2024-05-01T06:30:00+00:00")
    assert (answer["errors"], answer["warnings"]) == ({}, [])
    nightly = answer["dags"][NIGHTLY_DAG]
    assert nightly["tasks"] == {
        "train": [],
        "follow_models": ["train"],
        "refresh_daily": ["follow_models"],
        "refresh_report": ["follow_models", "refresh_daily"],
    }
    assert nightly["catchup"] is False
    assert nightly["retries"] == {"train": 0, "follow_models": 2, "refresh_daily": 2, "refresh_report": 0}
    assert nightly["timeouts"]["refresh_daily"] == 600
    assert len(answer["dags"]) == 3

    [run] = answer["runs"]
    assert run["state"] == "success"
    assert {name: state for name, (state, _) in run["tasks"].items()} == dict.fromkeys(nightly["tasks"], "success")
    assert {name: tries for name, (_, tries) in run["tasks"].items()}["refresh_daily"] == 2
    refresh = ["tables", "refresh"]
    slot = ["--scheduled-for", "2024-05-01T06:30:00Z"]
    assert field.called() == [
        ["train"],
        ["sync", "delay_risk"],
        [*refresh, "daily", *slot],
        [*refresh, "daily", *slot],
        [*refresh, "report", *slot],
    ]


# What trains: another version becomes the champion.
TRAIN = """
import sys, mlflow
client = mlflow.MlflowClient(registry_uri=sys.argv[1])
client.set_registered_model_alias("risk", "champion", client.get_model_version_by_alias("risk", "challenger").version)
"""


@pytest.mark.long
@needs_airflow
def test_airflow_refreshes_real_tables_once(world, tmp_path):
    own = world.whole(tmp_path / "world")
    project = own.copy(tmp_path / "flights", 'database = "events.duckdb"\n')
    source = small.events()
    with sqlml.connect(project=project) as db:
        small.fill(db, source)
        scheduled = "SCHEDULE CRON '30 2 * * *' AT TIME ZONE 'America/New_York'"
        small.declare(db, f"{small.DAILY} {scheduled}")
        small.declare(db, scheduled, "SELECT count(*) AS n, avg(risk) AS risk FROM predictions.daily", "report")
    (project / "train.py").write_text(TRAIN)
    file, train = tmp_path / "dags.py", shlex.join([sys.executable, "train.py", own.registry])
    words = ["schedule", "export", "--airflow", "--to", str(file), "--train", train, "--project", str(project)]
    subprocess.run([sys.executable, "-m", "sqlml", *words], check=True, capture_output=True, timeout=60)

    moment = f"{NIGHTLY_DAG}=2024-05-01T06:30:00+00:00"
    # The same run once more is what a retry, or somebody who clears it, makes of it.
    answer = Field(tmp_path / "field").run(file.read_text(), moment, moment)
    assert (answer["errors"], answer["warnings"]) == ({}, [])
    tasks = ("train", "follow_models", "refresh_daily", "refresh_report")
    for run in answer["runs"]:
        assert {name: state for name, (state, _) in run["tasks"].items()} == dict.fromkeys(tasks, "success")
    with sqlml.connect(project=project) as db:
        small.same_scores(own, small.frame(db), source, version=2)
        small.whole(db, column=small.DAY_OF)
        [report] = db.sql("SELECT n, risk FROM predictions.report").fetchall()
        assert report == (len(source), pytest.approx(own.score(source, 2).mean()))
        for name, count in (("daily", small.DAYS), ("report", 1)):
            assert len(small.commits(small.root_of(db, name))) == count
            [refresh] = db.predictions.desk.tables.refreshes(name)
            assert (refresh.outcome, refresh.scheduled_for) == ("done", datetime(2024, 5, 1, 6, 30, tzinfo=UTC))


@pytest.mark.long
@needs_airflow
def test_airflow_has_a_run_for_each_slot(field):
    """It may come up to an hour after its slot, where the clocks change, and has the slot as its last one."""
    for schedule in (NIGHTLY, Schedule("0 2 * * *", "Australia/Lord_Howe"), Schedule("30 2 * * *", "Europe/Berlin")):
        [dag] = field.run(airflow([table("t", schedule)], field.places))["dags"].values()
        for found in dag["moments"]:
            moments = [datetime.fromisoformat(moment) for moment in found]
            slots = list(schedule.slots(schedule.previous(moments[0]) - timedelta(seconds=1), moments[-1]))
            assert [schedule.previous(moment) for moment in moments] == slots
            assert all(moment - slot <= timedelta(hours=1) for moment, slot in zip(moments, slots, strict=True))


@pytest.mark.long
@needs_airflow
def test_airflow_runs_what_was_started_by_hand_without_a_date(field):
    field.stand_in()
    answer = field.run(airflow(TABLES, field.places), "sqlml.flights.by_hand=None", f"{NIGHTLY_DAG}=None")
    assert [run["state"] for run in answer["runs"]] == ["success", "success"]
    moments = [datetime.fromisoformat(run["run_after"]).astimezone(UTC) for run in answer["runs"]]
    once, daily, report = [call for call in field.called() if call[0] == "tables"]
    assert once == ["tables", "refresh", "once", "--scheduled-for", f"{moments[0]:%Y-%m-%dT%H:%M:%SZ}"]
    assert daily[-1] == report[-1] == f"{moments[1]:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.long
@needs_airflow
@pytest.mark.parametrize("how", ["failing", "hanging"])
def test_airflow_stops_where_a_table_fails_for_good(field, how):
    field.stand_in(**{how: "report"})
    tables = [replace(TABLES[0], timeout_seconds=3), TABLES[1], table("last", reads=("report",))]
    answer = field.run(airflow(tables, field.places), f"{NIGHTLY_DAG}=2024-05-01T06:30:00+00:00")
    [run] = answer["runs"]
    assert run["state"] == "failed"
    assert {name: state for name, (state, _) in run["tasks"].items()} == {
        "follow_models": "success",
        "refresh_daily": "success",
        "refresh_report": "failed",
        "refresh_last": "upstream_failed",
    }
    assert not [call for call in field.called() if "last" in call]


@pytest.mark.long
@needs_airflow
def test_airflow_passes_hostile_names_on_as_they_are(tmp_path):
    field = Field(tmp_path, name="{{ 1 }} 'a' {#.sh")
    field.stand_in()
    tables = [table(HOSTILE, functions=(("f {{ 2 }}.sh", "models:/f@champion"),))]
    answer = field.run(airflow(tables, field.places, train="echo '{{ 3 }}'"))
    assert answer["errors"] == {}
    [dag_id] = answer["dags"]
    answer = field.run(airflow(tables, field.places, train="echo '{{ 3 }}'"), f"{dag_id}=2024-05-01T06:30:00+00:00")
    assert answer["runs"][0]["state"] == "success"
    refresh = ["tables", "refresh", HOSTILE, "--scheduled-for", "2024-05-01T06:30:00Z"]
    assert field.called() == [["sync", "f {{ 2 }}.sh"], refresh]


# systemd


def calendar(files: Mapping[str, str]) -> list[str]:
    return [
        line.removeprefix("OnCalendar=") for text in files.values() for line in text.splitlines() if "OnCal" in line
    ]


def elapses(lines: list[str], begin: datetime, until: datetime, most: int) -> set[datetime]:
    """When systemd itself would run a timer with these lines, in (begin, until], which are `most` times or fewer."""
    found = set()
    for line in lines:
        words = [f"--base-time={begin:%Y-%m-%d %H:%M:%S} UTC", f"--iterations={most + 1}", line]
        done = subprocess.run(
            [str(ANALYZE), "calendar", *words], capture_output=True, text=True, check=True, env={"TZ": "UTC"}
        )
        for text in re.findall(r"(?:Next elapse|Iter. #\d+): \w+ ([\d-]+ [\d:]+) UTC", done.stdout):
            found.add(datetime.fromisoformat(text).replace(tzinfo=UTC))
    return {one for one in found if begin < one <= until}


def test_the_units_of_a_table():
    files = systemd(TABLES, PLACES)
    names = ["daily", "once", "report", "weekly"]
    services = {f"sqlml-flights-{name}.service" for name in names}
    assert files.keys() == services | {f"sqlml-flights-{name}.timer" for name in names if name != "once"}
    service = files["sqlml-flights-report.service"]
    assert "After=sqlml-flights-daily.service\n" in service
    assert "WorkingDirectory=/srv/flights\n" in service
    assert 'ExecStart="/opt/sqlml/bin/sqlml" "schedule" "run" "--due" "--table" "report"\n' in service
    assert "TimeoutStartSec=660\n" in service
    assert "After=" not in files["sqlml-flights-daily.service"]
    assert f"TimeoutStartSec={600 * 3 + 30 + 60 + 60}\n" in files["sqlml-flights-daily.service"]
    assert '"tables" "refresh" "once"\n' in files["sqlml-flights-once.service"]
    timer = files["sqlml-flights-weekly.timer"]
    assert "OnCalendar=Mon *-*-* 04:00:00 Europe/Berlin\nPersistent=true\nUnit=sqlml-flights-weekly.service\n" in timer


@pytest.mark.parametrize(
    ("text", "zone", "lines"),
    [
        ("0 3 * * *", "UTC", ["*-*-* 03:00:00 UTC"]),
        ("0 3 * * *", "America/New_York", ["*-*-* 03:00:00 America/New_York"]),
        ("30 2 * * *", "Europe/Berlin", ["*-*-* 02:30:00 Europe/Berlin", "*-*-* 03:00:00 Europe/Berlin"]),
        ("30 2 * * mon-fri", "Europe/Berlin", ["Mon,Tue,Wed,Thu,Fri *-*-* 02:30:00 Europe/Berlin"]),
        ("0 0 * * *", "America/Havana", ["*-*-* 00:00:00 America/Havana", "*-*-* 01:00:00 America/Havana"]),
        ("*/20 * * * *", "Asia/Kolkata", ["*-*-* *:10,30,50:00 UTC"]),
        ("15 * * * *", "Australia/Lord_Howe", ["*-*-* *:15,45:00 UTC"]),
        ("15 * 1 * *", "Asia/Kolkata", ["*-*-01 *:15:00 Asia/Kolkata"]),
        ("0 3 1,L * 5", "UTC", ["*-*-01 03:00:00 UTC", "*-*~01 03:00:00 UTC", "Fri *-*-* 03:00:00 UTC"]),
        ("0 3 * 1,7 5#2", "UTC", ["Fri *-01,07-08..14 03:00:00 UTC"]),
        ("0 3 * * L0", "UTC", ["Sun *-*~07/1 03:00:00 UTC"]),
    ],
)
def test_a_cron_as_systemd_writes_it(text, zone, lines):
    assert calendar(systemd([table("t", Schedule.parse(text, zone))], PLACES)) == lines


def test_a_day_that_systemd_has_no_form_for():
    with pytest.raises(CannotExport, match="schedule '0 3 15W \\* \\*' of 't' can't be written for systemd"):
        systemd([table("t", Schedule.parse("0 3 15W * *"))], PLACES)


CRONS = [
    *("0 3 * * *", "30 2 * * *", "*/20 * * * *", "15,45 1-3 * * *", "0 0 * * *", "59 23 L * *", "0 2 * * 0"),
    *("30 2 1,15 * mon", "0 */6 * 3,10 *", "0 2 * * 5#3", "0 2 * * 7#5", "15 1 * * L7", "0 12 * * sat-mon"),
]
# A zone, the days around one of its changes, and how many moments more a timer may have.
MONTHS = [
    *(("UTC", 3, 0), ("Asia/Kolkata", 10, 0), ("Europe/Berlin", 3, 31), ("Europe/Berlin", 10, 31)),
    *(("Australia/Lord_Howe", 4, 31), ("Australia/Lord_Howe", 10, 31)),
]


@needs_systemd
@pytest.mark.parametrize(("zone", "month", "more"), MONTHS)
@pytest.mark.parametrize("text", CRONS)
def test_systemd_runs_when_the_schedule_is_due(text, zone, month, more):
    schedule = Schedule.parse(text, zone)
    frequent = schedule.every_hour
    begin = datetime(2025, month, 1, tzinfo=UTC)
    if frequent:
        begin += timedelta(days={3: 28, 4: 4, 10: 24 if zone == "Europe/Berlin" else 3}[month])
    until = begin + timedelta(days=4 if frequent else 31)
    slots = set(schedule.slots(begin, until))
    most = (2 * len(slots) if frequent else len(slots)) + more
    real = elapses(calendar(systemd([table("t", schedule)], PLACES)), begin, until, most)
    # Half an hour's jump wakes an hourly timer at both of its minutes.
    assert slots <= real
    assert len(real) <= most
    assert more or slots == real


@needs_systemd
@pytest.mark.parametrize("name", ["daily", "a b 100% $HOME"])
def test_systemd_takes_the_units(tmp_path, name):
    project = tmp_path / "fl 100% ights"
    project.mkdir()
    script = tmp_path / "sql ml"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    files = systemd([table(name), table("report", reads=(name,))], Places(project, (str(script), "-x")))
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    paths = [str(tmp_path / file) for file in files]
    environment = {"TZ": "UTC", "PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    done = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", *paths], capture_output=True, text=True, check=False, env=environment
    )
    complaints = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "sqlml-" in line]
    assert complaints == []


# cron


def test_a_crontab():
    lines = [line for line in cron(TABLES, PLACES).splitlines() if line and not line.startswith("#")]
    run = "cd /srv/flights && /opt/sqlml/bin/sqlml schedule run --due"
    assert lines == [
        "CRON_TZ=America/New_York",
        f"30 2 * * * {run} --table daily",
        "CRON_TZ=America/New_York",
        f"30 2 * * * {run} --table report",
        "CRON_TZ=Europe/Berlin",
        f"0 4 * * 1 {run} --table weekly",
        "CRON_TZ=UTC",
        f"1 * * * * {run}",
    ]
    assert not [line for line in cron([table("once", None)], PLACES).splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("0 22-1 * jan,MAR *", "0 0,1,22,23 * 1,3 *"),
        ("* 0-23 ? * 7", "* * * * 0"),
        ("1/20 3 */10 * *", "1,21,41 3 1,11,21,31 * *"),
    ],
)
def test_a_cron_in_a_crontab(text, fields):
    line = cron([table("t", Schedule.parse(text))], PLACES).splitlines()[4]
    assert line.startswith(f"{fields} cd ")


@pytest.mark.parametrize("text", ["0 3 L * *", "0 3 15W * *", "0 3 * * 5#2", "0 3 * * L5"])
def test_days_that_a_crontab_has_no_form_for(text):
    with pytest.raises(CannotExport, match="'t' can't be written for a crontab: a crontab knows no"):
        cron([table("t", Schedule.parse(text))], PLACES)


def test_a_line_of_a_crontab_is_read_as_it_was_meant(tmp_path):
    project = tmp_path / "100% 'x' $HOME"
    project.mkdir()
    field = Field(tmp_path / "other")
    field.stand_in()
    line = cron([table(HOSTILE)], Places(project, field.places.command)).splitlines()[4]
    command = line.split(" ", 5)[5]
    assert not re.search(r"(?<!\\)%", command), "a bare percent sign ends the command"
    subprocess.run(["/bin/sh", "-c", command.replace(r"\%", "%")], check=True)
    words = ["schedule", "run", "--due", "--table", HOSTILE]
    assert field.calls.read_text() == "\t".join([str(project), *words]) + "\t\n"
