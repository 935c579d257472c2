"""The error tree is as drawn, every sentence renders, and the page about them is fresh."""

from __future__ import annotations

import importlib.util
import pickle
import re
from pathlib import Path
from string import Formatter

import pytest

from sqlml import errors
from sqlml.errors import SqlmlError, error_classes

DOCS = Path(__file__).parents[1] / "docs"
LEAVES = [cls for cls in error_classes().values() if not cls.__subclasses__()]

# Errors that pass on what something else said, word for word, and so have no sentence of their own.
ANOTHERS_WORDS = {"EngineError"}

each_leaf = pytest.mark.parametrize("cls", LEAVES, ids=lambda cls: cls.__name__)


def drawn_parents(drawing: str) -> dict[str, str]:
    """Each class in the drawing but the root, with the class it hangs from."""
    parents, path = {}, ["SqlmlError"]
    for line in drawing.splitlines():
        if branch := re.match(r" {4}((?:│   |    )*)[├└]── (\w+)", line):
            depth = len(branch[1]) // 4 + 1
            path[depth:] = [branch[2]]
            parents[branch[2]] = path[depth - 1]
    return parents


def fields(cls: type[SqlmlError]) -> list[str]:
    """The names that a class's sentence leaves open."""
    return [name for _, name, _, _ in Formatter().parse(cls.template) if name is not None]


def sample(cls: type[SqlmlError]) -> SqlmlError:
    """An error with an example value for each field."""
    return cls(**{name: f"<a {name}>" for name in fields(cls)})


def test_the_drawing_is_the_tree():
    real = {name: cls.__bases__[0].__name__ for name, cls in error_classes().items() if cls is not SqlmlError}
    assert drawn_parents(errors.__doc__) == real


def test_the_drawing_is_in_the_order_of_the_classes():
    defined = [
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, SqlmlError)
    ]
    assert ["SqlmlError", *drawn_parents(errors.__doc__)] == defined


def test_a_drawing_is_read_with_its_branches():
    drawing = "    Root\n    ├── A   text\n    │   ├── B\n    │   │   └── C\n    │   └── D\n    └── E\n        └── F"
    assert drawn_parents(drawing) == {"A": "SqlmlError", "B": "A", "C": "B", "D": "A", "E": "SqlmlError", "F": "E"}


def test_every_class_has_one_parent_and_lives_in_one_file():
    assert all(len(cls.__bases__) == 1 and cls.__module__ == "sqlml.errors" for cls in error_classes().values())


def test_every_class_has_a_docstring():
    assert [name for name, cls in error_classes().items() if not vars(cls).get("__doc__")] == []


@each_leaf
def test_a_leaf_has_a_sentence(cls):
    assert ("template" in vars(cls)) != (cls.__name__ in ANOTHERS_WORDS)


def test_a_branch_has_no_sentence():
    branches = [cls for cls in error_classes().values() if cls.__subclasses__() and cls is not SqlmlError]
    assert [cls.__name__ for cls in branches if "template" in vars(cls)] == []


@each_leaf
def test_a_sentence_renders(cls):
    text = str(sample(cls))
    assert not set("{}") & set(text)
    assert all(f"<a {name}>" in text for name in fields(cls))


@each_leaf
def test_a_sentence_ends(cls):
    assert cls.__name__ in ANOTHERS_WORDS or cls.template.removesuffix("{suggestion}").endswith(".")


@each_leaf
def test_a_missing_value_is_refused(cls):
    with pytest.raises(KeyError):
        cls()


@each_leaf
def test_pickling_round_trips(cls):
    error = sample(cls)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert str(again) == str(error)
    assert again.values == error.values


def test_the_page_is_fresh():
    spec = importlib.util.spec_from_file_location("generate_errors", DOCS / "generate_errors.py")
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert (DOCS / "errors.md").read_text(encoding="utf-8") == generator.page(), "run 'make docs'"


def test_the_page_has_a_row_for_every_class():
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / "errors.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(rows) == sorted(error_classes())
