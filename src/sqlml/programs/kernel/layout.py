"""What the machine and those who make images for it agree on: places, numbers of instructions, kinds of columns.

An image is an array of int64, some of them addresses of further arrays. The machine runs its instructions over a tile
of rows at a time; a register is one float64 a row, a key register one int32 a row, a plane one byte (or two) a row.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import count

from sqlml.programs import program

ENTRY = "sqlml_run"
"""The machine's name to the outside."""

# The image's header, by place.
TILE, REGISTERS, KEYS, BYTES, CODE, CODE_LENGTH, CONSTANTS = range(7)
INPUTS, INPUT_COUNT, OUTPUTS, OUTPUT_COUNT, STRICT = range(7, 12)
# What all runs have had to do: rows, and trees that were gone through, summed over rows.
ROWS, STEPS = range(12, 14)
HEADER = 14

# An input in the image: which type its values must have, and what a missing one does.
INPUT_TARGET, INPUT_REQUIRED = range(2)
INPUT_FIELDS = 2

# A column that is handed in: where its values are, its validity bitmap (0: all valid), its kind, the decimals' scale.
COLUMN_DATA, COLUMN_VALIDITY, COLUMN_KIND, COLUMN_EXTRA = range(4)
COLUMN_FIELDS = 4

# A result that is asked for: which one, where its values go, and the bitmap whose bit is cleared for a NULL.
OUT_WHAT, OUT_DATA, OUT_VALIDITY = range(3)
OUT_FIELDS = 3

# An output in the image: which one, how many registers, and the place of their list among the tables.
HEAD_WHAT, HEAD_COUNT, HEAD_LIST = range(3)
HEAD_FIELDS = 3


class Kind(IntEnum):
    """How the values of a column lie in memory."""

    BOOL = 1
    I8 = 2
    I16 = 3
    I32 = 4
    I64 = 5
    U8 = 6
    U16 = 7
    U32 = 8
    U64 = 9
    F32 = 10
    F64 = 11
    DECIMAL16 = 12
    DECIMAL32 = 13
    DECIMAL64 = 14
    DUCKDB_STRING = 15
    KEY = 16
    BITS = 17


class Target(IntEnum):
    """The type of an argument: a value that is no such one is refused."""

    DOUBLE = 0
    FLOAT = 1
    BIGINT = 2
    INTEGER = 3
    BOOLEAN = 4
    TEXT = 5


class What(IntEnum):
    """A result: float64 values, int32 places of classes, float64 probabilities row by row, the last of them."""

    VALUE = 0
    LABEL = 1
    PROBABILITIES = 2
    SCORE = 3


_numbers = count(1)

# Instructions, each with what follows its number. r: register, k: place of a constant, t: place in the tables.
LOAD = next(_numbers)  # r, input
REQUIRE = next(_numbers)  # r: a row that has NaN here is NULL
REQUIRE_KEY = next(_numbers)  # key register: a row whose key is that of a missing value is NULL
CONSTANT = next(_numbers)  # r, k
COPY = next(_numbers)  # r, r
ARITHMETIC = next(_numbers)  # operation, r, r, k
APPLY = next(_numbers)  # function, r, r
PAIR = next(_numbers)  # operation, r, r, r
WEIGH = next(_numbers)  # r, r, r, r, r, k: the first += the sum of (r - k[0]) * k[1] over the others
WEIGH_ONE = next(_numbers)  # r, r, k: r += (r - k[0]) * k[1]
SQUARED = next(_numbers)  # r, r, k: r += (r - k)^2
BETTER = next(_numbers)  # r, r, r, k: where r[2] > r[1], r[1] is it and r[0] is k
KEY_OF_TEXT = next(_numbers)  # key register, input, t
KEY_OF_NUMBER = next(_numbers)  # key register, r, k, how many, t
REFUSE_KEY = next(_numbers)  # key register, key
LOOK_UP = next(_numbers)  # r, key register, k: r = constant at k + key
ADD_UP = next(_numbers)  # r, key register, k: r += constant at k + key
REPLACE = next(_numbers)  # r, r, k, k: the second constant where it is the first
GUARD = next(_numbers)  # r, k, whether NaN is let through: refuse where not abs(r) < k
SETTLE = next(_numbers)  # r: where it is not finite, a missing argument makes the row NULL, else it is refused
PIECE = next(_numbers)  # r, r, how many edges, k, powers, whether edges are counted strictly below
MEDIAN = next(_numbers)  # r, how many, t, k
RANK = next(_numbers)  # r, then RANK_FIELDS numbers
PLANE_OF_KEY = next(_numbers)  # plane, key register, t, whether two bytes
RANK_SET = next(_numbers)  # key register, r, how many
TREES = next(_numbers)  # t, how many trees, whether sums are float32, the plane of the leaves' bits
WALK = next(_numbers)  # t, how many trees, whether sums are float32, whether ranks have two bytes
SCREEN = next(_numbers)  # t, r: bounds, how many rows are few, then the instructions that add up many and few (0: none)
SPREAD = next(_numbers)  # r, r: the sums that are left, plane of decisions

# What a RANK does: the planes in which NaN is lowest and highest (-1: none), the place of a grid's bounds and of the
# thresholds behind them, how many these are, whether planes have two bytes, the grid's cells (0: none), its steps.
RANK_LOW, RANK_HIGH, RANK_CONSTANTS, RANK_COUNT, RANK_WIDE, RANK_CELLS, RANK_STEPS = range(7)
RANK_FIELDS = 7
FEW = 12
"""So many thresholds are compared one after the other."""
ABREAST = 32
"""Rows that are compared at once."""
TOGETHER = 64
"""Rows that a screen does at once."""

# What a SCREEN needs: its steps; where it looks at the sums, and what it adds to them then; vectors of each byte;
# planes of decisions and of sums, and the key register of the rows that are left open; the planes and the key registers
# of these that are put to the front; how many trees there are. Then how many tiles go by without a screen.
SCREEN_OPS, SCREEN_BLOCKS, SCREEN_BLOCK_COUNT, SCREEN_CONSTANTS, SCREEN_SPLATS = range(5)
SCREEN_DECIDED, SCREEN_SUMS, SCREEN_ROWS, SCREEN_PLANES, SCREEN_PLANE_COUNT = range(5, 10)
SCREEN_KEYS_COPIED, SCREEN_KEY_COUNT, SCREEN_TREES, SCREEN_SKIP, SCREEN_WAIT = range(10, 15)
SCREEN_FIELDS = 15

# A screen's steps: bytes that say where pairs pass a test; where keys do; one of three bytes; add a byte to the sum.
SCREEN_PAIRS, SCREEN_KEYS, SCREEN_PICK, SCREEN_ADD = range(4)
SCREEN_STEP = 11
"""Numbers of a step."""

# How a node tells its rows: by planes of bytes, by planes of two bytes, by a table over a key register.
BY_BYTE, BY_PAIR, BY_KEY = range(3)

ARITHMETIC_CODES = {name: i for i, name in enumerate(program.ARITHMETIC)}
PAIR_CODES = {name: i for i, name in enumerate(("sum", "product", "maximum", "minimum", "divide", "power", "subtract"))}
APPLY_CODES = {name: i for i, name in enumerate(program.APPLIED)}

# The keys that stand before a dictionary's own.
MISSING, UNKNOWN, FIRST_KEY = range(3)

# A dictionary of texts among the tables: a power of two less one, then for each slot a key (0: empty), and the text.
SLOT_KEY, SLOT_LOW, SLOT_HIGH = range(3)
SLOT_FIELDS = 3
INLINED = 12
"""DuckDB keeps a text of up to so many bytes within the 16 bytes of the value itself."""
