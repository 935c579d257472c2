"""What is told of a run: valid events, to real files and real servers, and a run that never suffers for them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import jsonschema
import pytest
from openlineage.client import event_v2, facet_v2
from openlineage.client.serde import Serde

from sqlml.config import load_settings
from sqlml.errors import BadSetting, DataError, EngineError, SchemaDrift, UnknownCategory
from sqlml.tables import lineage as module
from sqlml.tables import lineage_events
from sqlml.tables.lineage import Told, lineage, reason

TOLD = Told(
    run_id="01908e1c-0000-7000-8000-000000000001",
    table="delay_risk_daily",
    path="/data/tables/delay_risk_daily",
    project="flights",
    query="SELECT *, delay_risk(f) AS risk\nFROM flights AS f",
    engine="duckdb",
    inputs=("main.flights", "/data/tables/weather_daily"),
    models={
        "delay_risk": {"model": "delay_risk", "version": 3, "digest": "ab" * 32},
        "delay_minutes": {"model": "delay", "version": "1", "digest": "cd" * 32},
    },
    window=("2013-01-01", "2013-01-02"),
    schema=(("flight", "INTEGER"), ("risk", "DOUBLE")),
    started_at=datetime(2024, 5, 1, 3, 0, 7, tzinfo=timezone(timedelta(hours=2))),
    scheduled_for=datetime(2024, 5, 1, 1, tzinfo=UTC),
    engine_version="2.0.0",
)
AUDITS = [
    {"rule": "not_null(risk)", "passed": True, "found": "0 of 842 rows are NULL"},
    {"rule": "min_rows(900)", "passed": False, "found": "842 rows"},
]
DONE = {"rows": 842, "bytes": 12345, "files": 2, "commit": 17, "audits": AUDITS[:1]}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("OPENLINEAGE", "SQLML_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def events_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def told_to(path, told=TOLD):
    """The three events, as they are in a file."""
    teller = lineage(str(path))
    teller.started(told)
    teller.completed(told, **DONE)
    teller.failed(told, "It broke.\nTraceback: here", audits=AUDITS)
    return events_of(path)


def rebuilt(event):
    """The event, made again from its JSON by the library's classes, which check what they are given."""
    known = {cls._get_schema(): cls for cls in _below(facet_v2.BaseFacet)}

    def facet(fields):
        fields = dict(fields)
        cls = known[fields.pop("_schemaURL")]
        return cls(producer=fields.pop("_producer"), **fields)

    def facets(held):
        return {name: facet(fields) for name, fields in held.items()}

    def datasets(cls, held, key):
        return [
            cls(one["namespace"], one["name"], facets=facets(one["facets"]), **{key: facets(one[key])}) for one in held
        ]

    again = event_v2.RunEvent(
        eventType=event_v2.RunState[event["eventType"]],
        eventTime=event["eventTime"],
        run=event_v2.Run(event["run"]["runId"], facets(event["run"]["facets"])),
        job=event_v2.Job(event["job"]["namespace"], event["job"]["name"], facets(event["job"]["facets"])),
        inputs=datasets(event_v2.InputDataset, event["inputs"], "inputFacets"),
        outputs=datasets(event_v2.OutputDataset, event["outputs"], "outputFacets"),
        producer=event["producer"],
    )
    return json.loads(Serde.to_json(again))


def _below(cls):
    for one in cls.__subclasses__():
        yield one
        yield from _below(one)


# What an event says


def test_the_library_reads_each_event_back(tmp_path):
    events = told_to(tmp_path / "events.jsonl")
    assert [event["eventType"] for event in events] == ["START", "COMPLETE", "FAIL"]
    for event in events:
        assert rebuilt(event) == event
        assert (event["job"]["namespace"], event["job"]["name"]) == ("flights", "delay_risk_daily")
        assert event["run"]["runId"] == TOLD.run_id
        assert event["job"]["facets"]["sql"]["query"] == TOLD.query
        assert event["job"]["facets"]["jobType"]["processingType"] == "BATCH"
        engine = event["run"]["facets"]["processing_engine"]
        assert (engine["name"], engine["version"]) == ("duckdb", "2.0.0")
    assert len({event["producer"] for event in events}) == 1
    assert events[0]["eventTime"] == "2024-05-01T01:00:07Z"


def test_facets_of_our_own_keep_their_schema(tmp_path):
    schema = json.loads(Path(module.__file__).with_name("SqlmlRunFacets.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    for event in told_to(tmp_path / "events.jsonl"):
        facets = event["run"]["facets"]
        assert {"sqlml_models", "sqlml_refresh"} <= facets.keys()
        jsonschema.validate(facets, schema, format_checker=jsonschema.FormatChecker())
        for name in ("sqlml_models", "sqlml_refresh"):
            base, _, place = facets[name]["_schemaURL"].partition("#")
            assert base == schema["$id"]
            assert place.removeprefix("/$defs/") in schema["$defs"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"sqlml_models": {"models": [{"function": "f"}]}}, schema)


def test_the_models_are_inputs_and_a_facet(tmp_path):
    start = told_to(tmp_path / "events.jsonl")[0]
    assert start["run"]["facets"]["sqlml_models"]["models"] == [
        {"function": "delay_minutes", "model": "delay", "version": "1", "sha256": "cd" * 32},
        {"function": "delay_risk", "model": "delay_risk", "version": "3", "sha256": "ab" * 32},
    ]
    names = [(one["namespace"], one["name"]) for one in start["inputs"]]
    assert names == [
        ("flights", "main.flights"),
        ("file", "/data/tables/weather_daily"),
        ("mlflow", "delay"),
        ("mlflow", "delay_risk"),
    ]
    model = start["inputs"][-1]["facets"]
    assert (model["datasetType"]["datasetType"], model["version"]["datasetVersion"]) == ("MODEL", "3")


def test_two_versions_of_a_model_are_one_input(tmp_path):
    models = {f"f{n}": {"model": "m", "version": n, "digest": "0"} for n in (1, 2)}
    start = told_to(tmp_path / "e", replace(TOLD, models=models, inputs=("a",), database="duckdb:warehouse"))[0]
    assert [(one["namespace"], one["name"]) for one in start["inputs"]] == [("duckdb:warehouse", "a"), ("mlflow", "m")]
    assert start["inputs"][1]["facets"]["version"]["datasetVersion"] == "1, 2"


def test_what_a_table_s_own_runs_write_is_what_others_read(tmp_path):
    reader = replace(TOLD, table="alerts", path="/data/tables/alerts", inputs=(TOLD.path,))
    written, read = told_to(tmp_path / "a")[0]["outputs"][0], told_to(tmp_path / "b", reader)[0]["inputs"][0]
    assert (written["namespace"], written["name"]) == (read["namespace"], read["name"])


def test_the_output(tmp_path):
    start, complete, fail = (event["outputs"][0] for event in told_to(tmp_path / "events.jsonl"))
    fields = [(one["name"], one["type"]) for one in start["facets"]["schema"]["fields"]]
    assert fields == list(TOLD.schema)
    symlink = {"namespace": "flights", "name": "predictions.delay_risk_daily", "type": "TABLE"}
    assert start["facets"]["symlinks"]["identifiers"] == [symlink]
    assert complete["facets"]["version"]["datasetVersion"] == "17"
    statistics = complete["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"], statistics["fileCount"]) == (842, 12345, 2)
    assertions = fail["facets"]["dataQualityAssertions"]["assertions"]
    assert [(one["assertion"], one["success"]) for one in assertions] == [
        ("not_null(risk)", True),
        ("min_rows(900)", False),
    ]
    assert "version" not in fail["facets"]
    assert not fail["outputFacets"]


@pytest.mark.parametrize(
    ("window", "nominal"),
    [
        (("2013-01-01", "2013-01-02"), ("2013-01-01T00:00:00Z", "2013-01-02T00:00:00Z")),
        (("2013-01-01T05:30:00", "2013-01-02T05:30:00"), ("2013-01-01T05:30:00Z", "2013-01-02T05:30:00Z")),
        (("2013-01-01T05:00:00Z", "2013-01-02T05:00:00Z"), ("2013-01-01T05:00:00Z", "2013-01-02T05:00:00Z")),
        (("20130101", "20130201"), ("2024-05-01T01:00:00Z", None)),
        (("-1000", "0"), ("2024-05-01T01:00:00Z", None)),
        (None, ("2024-05-01T01:00:00Z", None)),
    ],
)
def test_the_nominal_time(tmp_path, window, nominal):
    facets = told_to(tmp_path / "events.jsonl", replace(TOLD, window=window))[0]["run"]["facets"]
    told = facets["nominalTime"]
    assert (told["nominalStartTime"], told.get("nominalEndTime")) == nominal
    refresh = facets["sqlml_refresh"]
    assert refresh.get("window") == (window and {"start": window[0], "end": window[1]})
    assert refresh["scheduledFor"] == "2024-05-01T01:00:00Z"


def test_a_run_by_hand_of_a_whole_table_has_no_nominal_time(tmp_path):
    facets = told_to(tmp_path / "e", replace(TOLD, window=None, scheduled_for=None))[0]["run"]["facets"]
    assert not {"nominalTime", "sqlml_refresh"} & facets.keys()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("\n It broke at once. \nTraceback (most recent call last):\n  ...", "It broke at once."),
        ("x" * 5000, "x" * 1000),
        (
            SchemaDrift(table="t", column="a", what="is gone"),
            str(SchemaDrift(table="t", column="a", what="is gone")),
        ),
        (
            EngineError(message="Conversion Error: '4532-1'\nLINE 1"),
            "Conversion Error: the record of the run says more",
        ),
        (
            EngineError(message="[CAST_INVALID_INPUT] '4532-1' is no"),
            "[CAST_INVALID_INPUT]: the record of the run says more",
        ),
        (
            UnknownCategory(function="f", value="'4532-1'", argument="a"),
            "UnknownCategory: the record of the run says more",
        ),
        (KeyError("4532-1"), "KeyError: the record of the run says more"),
        (OSError(28, "No space left on device", "/data/4532-1"), "No space left on device"),
    ],
)
def test_a_failure_is_told_on_a_line_and_without_rows(tmp_path, error, said):
    assert reason(error) == said
    lineage(str(tmp_path / "e")).failed(TOLD, error)
    facet = events_of(tmp_path / "e")[0]["run"]["facets"]["errorMessage"]
    assert facet["message"] == said
    assert "stackTrace" not in facet
    assert "4532-1" not in (tmp_path / "e").read_text()


def test_no_value_of_a_row_is_in_any_error_of_data():
    for cls in DataError.__subclasses__():
        error = cls.__new__(cls)
        Exception.__init__(error, "Ann")
        assert "Ann" not in reason(error)


# Files


@pytest.mark.parametrize("form", ["file:{}", "file://{}", "{}"])
def test_a_whole_path(tmp_path, form):
    path = tmp_path / "logs" / "events.jsonl"
    lineage(form.format(path)).started(TOLD)
    assert len(events_of(path)) == 1


def test_a_relative_path_is_taken_from_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    lineage("file:events.jsonl", tmp_path).started(TOLD)
    assert len(events_of(tmp_path / "events.jsonl")) == 1


WRITER = """
import sys
from dataclasses import replace
sys.path.insert(0, {tests!r})
from test_lineage import DONE, TOLD, lineage
teller = lineage(sys.argv[1])
for i in range(60):
    teller.completed(replace(TOLD, query=sys.argv[2] * (40_000 + 997 * i)), **DONE)
"""


def test_the_lines_of_two_processes_stay_whole(tmp_path):
    script = WRITER.format(tests=str(Path(__file__).parent))
    path = tmp_path / "events.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", script, str(path), letter]) for letter in "ab"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    queries = [event["job"]["facets"]["sql"]["query"] for event in events_of(path)]
    assert sorted(map(len, queries)) == sorted([40_000 + 997 * i for i in range(60)] * 2)
    assert {letter for query in queries for letter in set(query)} == {"a", "b"}


def test_a_line_is_one_write(tmp_path, monkeypatch):
    written, write = [], os.write
    monkeypatch.setattr(os, "write", lambda file, data: written.append(data) or write(file, data))
    lineage(str(tmp_path / "e")).started(replace(TOLD, query="x" * 1_000_000))
    assert len(written) == 1
    assert written[0].endswith(b"}\n")


@pytest.mark.parametrize("trouble", ["a folder", "a file above", "a full disk"])
def test_a_file_that_can_t_be_written_is_a_warning(tmp_path, monkeypatch, caplog, trouble):
    path = tmp_path / "e"
    if trouble == "a folder":
        path.mkdir()
    if trouble == "a file above":
        (tmp_path / "f").write_text("")
        path = tmp_path / "f" / "e"
    if trouble == "a full disk":
        monkeypatch.setattr(os, "write", lambda file, data: 10)
    lineage(str(path)).started(TOLD)
    said = {"a folder": "Is a directory", "a file above": "File exists", "a full disk": "No space left on device"}
    warned = f"The START event of 'delay_risk_daily' was not delivered to '{path}': {said[trouble]}."
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [("WARNING", warned)]
    assert caplog.records[0].sqlml["run_id"] == TOLD.run_id


def test_an_event_that_can_t_be_made_is_a_warning(tmp_path, caplog):
    lineage(str(tmp_path / "e")).started(replace(TOLD, run_id="seven"))
    assert "was not delivered" in caplog.text
    assert not (tmp_path / "e").exists()


# Addresses


@contextlib.contextmanager
def server(status=201, headers=()):
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self):
            got.append((self.path, dict(self.headers), None))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=serving.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}", got
    finally:
        serving.shutdown()
        serving.server_close()


@pytest.fixture
def silent():
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", "/api/v1/lineage"),
        ("/", "/api/v1/lineage"),
        ("?tenant=7", "/api/v1/lineage?tenant=7"),
        ("/a/b:c", "/a/b:c"),
        ("/api/v1/lineage", "/api/v1/lineage"),
        ("/x/?y=1", "/x/?y=1"),
    ],
)
def test_an_address_gets_the_events(tmp_path, caplog, given, path):
    with server() as (address, got):
        teller = lineage(address + given)
        teller.started(TOLD)
        teller.completed(TOLD, **DONE)
        teller.failed(TOLD, "It broke.")
    assert not caplog.records
    assert [one[0] for one in got] == [path] * 3
    assert {one[1]["Content-Type"] for one in got} == {"application/json"}
    assert all("Authorization" not in one[1] for one in got)
    lineage(str(tmp_path / "e")).started(TOLD)
    assert got[0][2] == events_of(tmp_path / "e")[0]
    assert [rebuilt(one[2])["eventType"] for one in got] == ["START", "COMPLETE", "FAIL"]


def test_a_token_is_sent_along(monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "s3cret")
    with server() as (address, got):
        lineage(address).started(TOLD)
    assert got[0][1]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_a_refusal_is_a_warning_and_one_try(caplog, status):
    with server(status, [("Retry-After", "30")]) as (address, got):
        lineage(address).started(TOLD)
    assert [one.getMessage() for one in caplog.records] == [
        f"The START event of 'delay_risk_daily' was not delivered to '{address}': it answered {status}."
    ]
    assert len(got) == 1


def test_a_token_goes_nowhere_else(monkeypatch, caplog):
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "s3cret")
    with server() as (other, stray), server(302, [("Location", other)]) as (address, got):
        lineage(address).started(TOLD)
    assert (len(got), len(stray)) == (1, 0)
    assert "it answered 302" in caplog.text


def test_a_silent_address_costs_seconds_and_only_once(monkeypatch, caplog, silent):
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    monkeypatch.setattr(module, "PAUSE", 1.5)
    begun, teller = time.monotonic(), lineage(silent)
    for _ in range(50):
        teller.started(TOLD)
    assert time.monotonic() - begun < 1.4
    said = [one.getMessage() for one in caplog.records]
    assert len(said) == 50
    assert "no answer within" in said[0]
    assert all("left alone" in line for line in said[1:])
    time.sleep(1.6)
    teller.started(TOLD)
    assert "no answer within" in caplog.records[-1].getMessage()


def test_an_address_that_answers_byte_by_byte_costs_no_more(monkeypatch, caplog):
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip():
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                for _ in range(20):
                    time.sleep(0.1)
                    connection.sendall(b"H")

        Thread(target=drip, daemon=True).start()
        begun = time.monotonic()
        lineage(f"http://127.0.0.1:{listening.getsockname()[1]}").started(TOLD)
        assert time.monotonic() - begun < 1.5
        assert "no answer within" in caplog.text
        time.sleep(2)


def test_a_process_with_a_silent_address_ends(silent):
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_lineage import TOLD, lineage, module\n"
        f"module.PATIENCE = 1.0\nmodule.PAUSE = 60.0\n"
        f"teller = lineage({silent!r})\nteller.started(TOLD); teller.failed(TOLD, 'x')\n"
        "import time; print(time.process_time())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0
    assert done.stderr.count("was not delivered") == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("host", ["127.0.0.1:9", "no-such-host.invalid"])
def test_nobody_there_is_a_warning_without_secrets(monkeypatch, caplog, host):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "hidden-key")
    lineage(f"http://ann:hidden-word@{host}/in?key=hidden-key").started(TOLD)
    said = [one.getMessage() for one in caplog.records]
    assert len(said) == 1
    assert f"'http://***@{host}/in?***'" in said[0]
    assert "hidden" not in caplog.text
    assert "\n" not in said[0]


# The setting


@pytest.mark.parametrize("setting", [None, ""])
def test_without_the_setting_nothing_is_told_and_nothing_imported(setting):
    script = (
        f"import sys\nfrom sqlml.tables.lineage import lineage\nteller = lineage({setting!r})\n"
        "teller.started(None); teller.failed(None, 'x')\n"
        "teller.completed(None, rows=0, bytes=0, files=0, commit=0, audits=[])\n"
        "print({'openlineage', 'requests', 'attr'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_openlineage_s_own_switch_turns_it_off(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "True")
    lineage(str(tmp_path / "e")).started(TOLD)
    assert not (tmp_path / "e").exists()


def test_without_the_library_the_extra_is_named():
    script = (
        "import sys\nsys.modules['openlineage'] = None\n"
        "from sqlml.errors import MissingPackage\nfrom sqlml.tables.lineage import lineage\n"
        "try: lineage('file:events.jsonl')\nexcept MissingPackage as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    said = "The setting 'lineage' needs the package 'openlineage-python': pip install 'sqlml[lineage]'.\n"
    assert (done.stdout, done.stderr) == (said, "")


@pytest.mark.parametrize(
    "value",
    [
        "file:lineage.jsonl",
        "file:/var/log/lineage.jsonl",
        "file:///var/log/lineage.jsonl",
        "logs/lineage.jsonl",
        "http://localhost:5000",
        "https://ann:word@host/api?key=1",
        "",
    ],
)
def test_a_setting(tmp_path, value):
    (tmp_path / "sqlml.toml").write_text(f'[sqlml]\nlineage = "{value}"\n')
    assert load_settings(tmp_path).lineage == value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("kafka://host/topic", "events go to a file, or to an address that begins with http:// or https://"),
        ("http:///lineage", "the address names no host"),
        ("https://host:port/", "port could not be cast to integer value as 'port'"),
        ("file:", "it names no file: write 'file:events.jsonl', or 'file:///' and a whole path"),
        ("file://host/events.jsonl", "it names no file: write 'file:events.jsonl', or 'file:///' and a whole path"),
    ],
)
def test_a_wrong_setting(monkeypatch, tmp_path, value, why):
    monkeypatch.setenv("SQLML_LINEAGE", value)
    with pytest.raises(BadSetting) as raised:
        load_settings(tmp_path)
    assert str(raised.value) == f"The setting 'lineage' can't be '{value}': {why}."


def test_no_setting_by_itself(tmp_path):
    assert load_settings(tmp_path).lineage is None
    assert lineage_events.PRODUCER.startswith("urn:sqlml:")
