"""Files that have others refresh the tables on time: Airflow, systemd, cron. Text in, text out: nothing is written."""

from sqlml.tables.exports.airflow import airflow
from sqlml.tables.exports.crontab import cron
from sqlml.tables.exports.exported import Exported, Places
from sqlml.tables.exports.systemd import systemd

__all__ = ["Exported", "Places", "airflow", "cron", "systemd"]
