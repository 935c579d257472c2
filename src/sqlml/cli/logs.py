"""What is logged, as JSON on standard error: one object a line, for whatever collects the logs of scheduled jobs."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

log = logging.getLogger("sqlml")


class JsonLines(logging.Formatter):
    """A record as one JSON object: `time`, `level`, `logger`, `message`, and what `extra={"sqlml": {...}}` adds.

    Example:
        >>> record = logging.makeLogRecord({"name": "sqlml", "levelname": "INFO", "created": 0.25, "msg": "Done",
        ...                                 "sqlml": {"rows": 42}})
        >>> print(JsonLines().format(record))
        {"time": "1970-01-01T00:00:00.250000Z", "level": "info", "logger": "sqlml", "message": "Done", "rows": 42}
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, without the line's end."""
        moment = datetime.fromtimestamp(record.created, UTC)
        said: dict[str, Any] = {
            "time": _moment(moment),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        added = getattr(record, "sqlml", None)
        if isinstance(added, Mapping):
            said |= {str(key): _plain(value) for key, value in added.items() if key not in said}
        if record.exc_info and record.exc_info[0]:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said)


class _ToStandardError(logging.Handler):
    """Asks for standard error at each record, for it may have been replaced since."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            # In one piece, so that the lines of several threads or processes stay whole.
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - a log that can't be written must not end what it tells of
            self.handleError(record)


def configure(json_logs: bool) -> None:
    """Write what sqlml logs to standard error as JSON, or as Python does by itself; the last call counts."""
    for handler in [one for one in log.handlers if isinstance(one, _ToStandardError)]:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
        log.propagate = True
    if json_logs:
        handler = _ToStandardError()
        handler.setFormatter(JsonLines())
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        # Whatever listens at the root would write the same once more, as text.
        log.propagate = False


def in_json() -> bool:
    """Whether standard error is for JSON."""
    return any(isinstance(one, _ToStandardError) for one in log.handlers)


def _plain(value: Any) -> Any:
    """A value as JSON has it; what JSON has no form for is text."""
    if isinstance(value, datetime) and value.tzinfo:
        return _moment(value.astimezone(UTC))
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _moment(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
