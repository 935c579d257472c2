"""What of the engines' contract Spark is asked in `make test-long` alone: it takes seconds each, and DuckDB none."""

from __future__ import annotations

import pytest

LATER = (
    "test_a_model_of_many_columns",
    "test_any_number_of_rows",
    "test_create_and_drop",
    "test_null_nan_and_infinity",
    "test_text_that_no_model_knows",
    "test_the_value_is_the_same_whatever_its_type",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        name = getattr(item, "originalname", "")
        if ("[spark" in item.name and name in LATER) or item.name == "test_every_strategy[spark-python]":
            item.add_marker(pytest.mark.long)
