"""What the native door's compiled callback and those who feed it agree on: two arrays of int64, by place.

A context is made once a function and its memory never goes; a state once a thread and call site, by the callback.
"""

from __future__ import annotations

from enum import IntEnum

# A context: what a registered function is, and how many of its registrations DuckDB has let go of.
RUN, IMAGE, INPUT_COUNT, WANTS, PARTS, PART_COUNT, IN_STRUCT, SLOW, NUMBER, CAPACITY, FORGETTER, GONE = range(12)
CONTEXT = 12

# A part of a context: one answer of the kernel, the whole result or a field of it.
SHAPE, WHAT, WIDTH, CLASSES, TABLE = range(5)
PART = 5

# A state: whether the types of the arguments are known, the query's client context, and scratch memory (a part each).
READY, CLIENT, COLUMNS, OUTPUT, VALIDITY, SCRATCH = range(6)
STATE = 6

# What READY says.
UNKNOWN, FAST, SLOWLY = range(3)

# What the one compiled function is asked to do; each is an entry of its own to the outside.
INIT, EXECUTE, FORGET, DROP, TRIAL = range(5)
ENTRIES = {
    "sqlml_door_init": (INIT, 1),
    "sqlml_door_execute": (EXECUTE, 3),
    "sqlml_door_forget": (FORGET, 1),
    "sqlml_door_drop": (DROP, 1),
    "sqlml_door_trial": (TRIAL, 4),
}


class Want(IntEnum):
    """What an input of the model is; an argument that is something else takes the slow path."""

    NUMBER = 0
    TEXT = 1
    UNUSED = 2


class Shape(IntEnum):
    """How an answer lies in DuckDB's vector."""

    DOUBLE = 0
    """What the kernel writes, as it is."""
    FLOAT = 1
    INTEGER = 2
    BIGINT = 3
    BOOLEAN = 4
    LABEL = 5
    """An element of the table for each row's class."""
    PAIRS = 6
    """A list a row: each class's label, from the table, and its probability."""
    LIST = 7
    """A list a row of each class's probability."""


# DuckDB's numbers of the types that are met here. From BOOLEAN to DOUBLE they are the kernel's kinds, too.
BOOLEAN_TYPE, DOUBLE_TYPE, VARCHAR_TYPE, DECIMAL_TYPE = 1, 11, 17, 19
KIND_DECIMAL16, KIND_DECIMAL32, KIND_DECIMAL64, KIND_STRING, KIND_NONE = 12, 13, 14, 15, 16

EXACT_DIGITS = 15
"""A wider decimal isn't always a float64 of its own."""
