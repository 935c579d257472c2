"""A file of Airflow 3 DAGs: one for the tables of each schedule, a task for each table."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from sqlml.tables.exports.exported import Exported, Places, in_order, plain
from sqlml.tables.schedule import Schedule

_HEAD = '''\
"""The prediction tables of a project, refreshed by Airflow 3; needs apache-airflow-providers-standard.

Written by `sqlml schedule export --airflow`: write it again rather than change it.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.trigger import CronTriggerTimetable

# A DAG that begins in the past and does not catch up runs from its next slot on.
START = datetime(2024, 1, 1, tzinfo=timezone.utc)


def slot(dag_run) -> str:
    """The moment that a run is for: the same at each of its tries, which is what makes a retry safe.

    A run that was started by hand may have neither an interval nor a logical date.
    """
    moment = dag_run.data_interval_end or dag_run.logical_date or dag_run.run_after
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def task(name: str, script: str, retries: int, seconds: int | None) -> BashOperator:
    """A task that runs a script, and waits ever longer before it tries again."""
    return BashOperator(
        task_id=name,
        bash_command=script,
        retries=retries,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(minutes=15),
        execution_timeout=None if seconds is None else timedelta(seconds=seconds),
    )
'''

_DAG = """

with DAG(
    dag_id={dag_id!r},
    schedule={schedule},
    start_date=START,
    catchup=False,
    max_active_runs=1,
    tags={tags!r},
    user_defined_macros={{"slot": slot}},
):
"""

_SIGNS = {" ": "_", "*": "x", "/": "by", ",": "and", "#": "n", "?": "x", "-": "to"}


def airflow(tables: Sequence[Exported], places: Places, train: str | None = None) -> str:
    """The text of a Python file for Airflow's folder of DAGs.

    Args:
        tables: the project's; those without a schedule get a DAG that is started by hand.
        places: where sqlml is called.
        train: a line of shell that trains models anew: a task of its own, before the others of each DAG whose
            functions follow an alias.

    A table waits for those that it reads where they are of the same schedule; of another schedule it reads what is
    there.

    Raises:
        TableCycle: some tables read each other.
    """
    groups: dict[Schedule | None, list[Exported]] = {}
    for table in in_order(tables):
        groups.setdefault(table.schedule, []).append(table)
    return _HEAD + "".join(_dag(schedule, group, places, train) for schedule, group in groups.items())


def _dag(schedule: Schedule | None, tables: Sequence[Exported], places: Places, train: str | None) -> str:
    head = _DAG.format(
        dag_id=f"sqlml.{places.label}.{_slug(schedule)}",
        schedule=None if schedule is None else f"CronTriggerTimetable({schedule.cron!r}, timezone={schedule.zone!r})",
        tags=sorted({"sqlml", *(table.engine for table in tables)}),
    )
    first = _models(tables, places, train)
    lines = [*first, "refresh = {}", *(line for table in tables for line in _refresh(table, places))]
    names = {table.name for table in tables}
    for table in tables:
        before = [f"refresh[{name!r}]" for name in sorted(names.intersection(table.reads))]
        if first:
            before.insert(0, "models")
        lines += [f"refresh[{table.name!r}].set_upstream([{', '.join(before)}])"] if before else []
    return head + "".join(f"    {line}\n" for line in lines)


def _models(tables: Sequence[Exported], places: Places, train: str | None) -> list[str]:
    """The tasks before the tables', where a table's function follows an alias: `models` is the last of them."""
    followed = sorted({name for table in tables for name, reference in table.functions if "@" in reference})
    if not followed:
        return []
    calls = [places.line("sync", name) for name in followed]
    retries, seconds = max(table.retries for table in tables), max(table.timeout_seconds for table in tables)
    lines = _task("models", "follow_models", _script(places, *calls), retries, seconds)
    if train is None:
        return lines
    # How long training may take, and whether it may be done twice, is for whoever wrote it to say.
    before = _task("train", "train", _script(places, train), 0, None)
    return [*before, *lines, "train >> models"]


def _refresh(table: Exported, places: Places) -> list[str]:
    *before, last = _script(places, places.line("tables", "refresh", table.name, "--scheduled-for"))
    script = [*before, last.removesuffix("\n") + ' "{{ slot(dag_run) }}"\n']
    name = f"refresh_{plain(table.name)}"
    return _task(f"refresh[{table.name!r}]", name, script, table.retries, table.timeout_seconds)


def _task(target: str, name: str, script: list[str], retries: int, seconds: int | None) -> list[str]:
    """Lines that make a task."""
    text = [f"    {line!r}" for line in script]
    text[-1] += ","
    return [f"{target} = task(", f"    {name!r},", *text, f"    retries={retries},", f"    seconds={seconds},", ")"]


def _script(places: Places, *lines: str) -> list[str]:
    """Lines of shell as a template of Jinja's that gives just them.

    It ends in a newline: a text that ends in `.sh` would be taken for the name of a file.
    """
    text = [f"{line}\n" for line in ("set -e", f"cd {shlex.quote(str(places.project))}", *lines)]
    return [re.sub(r"\{[{%#]", lambda found: f"{{{{ '{found[0]}' }}}}", line) for line in text]


def _slug(schedule: Schedule | None) -> str:
    """A name for a schedule, which stays the same whatever tables have it."""
    if schedule is None:
        return "by_hand"
    cron = "".join(_SIGNS.get(letter, letter) for letter in schedule.cron)
    return ".".join([cron, *map(plain, schedule.zone.split("/"))])
