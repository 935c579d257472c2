"""What `import sqlml` offers, and what it costs."""

import subprocess
import sys

import sqlml


def test_the_public_names_are_sorted_and_there():
    assert list(sqlml.__all__) == sorted(sqlml.__all__)
    for name in sqlml.__all__:
        assert getattr(sqlml, name) is not None


def test_no_public_name_is_unlisted():
    public = {name for name, value in vars(sqlml).items() if not name.startswith("_") and not _is_module(value)}
    assert public - {"annotations"} == set(sqlml.__all__)


def _is_module(value):
    return type(value).__name__ == "module"


def test_a_query_without_a_model_imports_no_model_library(tmp_path):
    program = (
        "import sys, sqlml\n"
        "with sqlml.connect() as db:\n"
        "    assert db.sql('SELECT 42').fetchall() == [(42,)]\n"
        "print(sorted({'mlflow', 'sklearn', 'pandas', 'skops', 'threadpoolctl', 'yaml'} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""
