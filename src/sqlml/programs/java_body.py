"""The body of a Java method, put together statement by statement: where each column of a program is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sqlml.programs.java_terms import Constants, number, weight
from sqlml.programs.program import Ref

MOST_CODE = 3_500
"""Words of a method: the JVM never compiles one of more than 8,000 bytes, and interprets it for ever."""

WIDE = 8
"""Columns from which a loop is written rather than a statement each."""


class Body:
    """Statements over columns, which are local variables; where these would be too many, places of one array `v`.

    `indices` are the ints that say which key of an Encode a row has.
    """

    def __init__(self, *, wide: bool) -> None:
        self.wide = wide
        self.constants = Constants()
        self.statements: list[str] = []
        self.methods: list[str] = []
        self.helpers: set[str] = set()
        self._fields: dict[tuple[str, str], str] = {}
        self.columns: dict[Ref, str] = {}
        self.indices: dict[int, str] = {}
        self.slots = 0
        self._slot: dict[Ref, int] = {}
        self._names = 0

    def name(self, letter: str) -> str:
        """A name that nothing else has."""
        self._names += 1
        return f"{letter}{self._names}"

    def help(self, name: str) -> str:
        """The name of a helper method, which the class then has."""
        self.helpers.add(name)
        return name

    def say(self, statement: str) -> None:
        """Append a statement."""
        self.statements.append(statement)

    def method(self, name: str, text: str) -> None:
        """A static method from columns of an array to columns of another."""
        self.methods.append(f"private static void {name}(double[] x, int at, double[] y, int to) {{\n{text}\n}}")

    def table(self, keys: Sequence[str]) -> str:
        """The field of a table of the places of texts."""
        texts = self.constants.texts(keys)
        return self.held("java.util.HashMap", f"{self.help('tabled')}({texts})")

    def held(self, type_: str, text: str) -> str:
        """The field of something that is made once."""
        return self._fields.setdefault((type_, text), f"M{len(self._fields)}")

    def given(self, ref: Ref) -> None:
        """A column that its array has from the beginning."""
        slot = self._slot[ref] = self.take(1)
        self.columns[ref] = f"v[{slot}]"

    def put(self, ref: Ref, text: str) -> None:
        """Keep a column."""
        if self.wide:
            slot = self._slot[ref] = self.take(1)
            self.say(f"v[{slot}] = {text};")
            self.columns[ref] = f"v[{slot}]"
        else:
            name = self.columns[ref] = self.name("c")
            self.say(f"final double {name} = {text};")

    def take(self, count: int) -> int:
        """The first of so many new places of the array."""
        self.slots += count
        return self.slots - count

    def same(self, ref: Ref, source: Ref) -> None:
        """A column is another one."""
        self.columns[ref] = self.columns[source]
        if source in self._slot:
            self._slot[ref] = self._slot[source]

    def constant(self, ref: Ref, value: float) -> None:
        """A column of one number."""
        if self.wide:
            self.put(ref, number(value))
        else:
            self.columns[ref] = number(value)

    def index(self, place: int, text: str) -> None:
        """Keep which key a row has."""
        if self.wide:
            slot = self.take(1)
            self.say(f"v[{slot}] = {text};")
            self.indices[place] = f"(int) v[{slot}]"
        else:
            name = self.indices[place] = self.name("k")
            self.say(f"final int {name} = {text};")

    def each(
        self,
        place: int,
        sources: Sequence[Ref],
        text: Callable[[str, str], str],
        operands: Any = None,
    ) -> None:
        """A column of a node from each of some: its text over the column's and, where there is one, a constant's."""
        values = [0.0] * len(sources) if operands is None else np.asarray(operands, np.float64).tolist()
        start = self._run(sources) if len(sources) >= WIDE else None
        if start is None:
            for i, (source, value) in enumerate(zip(sources, values, strict=True)):
                self.put((place, i), text(self.columns[source], number(value)))
            return
        to = self._range(place, len(sources))
        held = "" if operands is None else f"{self.constants.doubles(values)}[i]"
        one = text(f"v[{start} + i]", held)
        self.say(f"for (int i = 0; i < {len(sources)}; i++) v[{to} + i] = {one};")

    def array(self, refs: Sequence[Ref]) -> str:
        """Columns as an array and the place of the first, for a call."""
        if not self.wide:
            return f"new double[] {{{', '.join(self.columns[ref] for ref in refs)}}}, 0"
        start = self._run(refs)
        if start is not None:
            return f"v, {start}"
        return f"{self.help('gathered')}(v, {self.constants.ints([self._slot[ref] for ref in refs])}), 0"

    def values(self, refs: Sequence[Ref]) -> str:
        """Columns as an array of their own."""
        if not self.wide:
            return f"new double[] {{{', '.join(self.columns[ref] for ref in refs)}}}"
        return f"{self.help('gathered')}(v, {self.constants.ints([self._slot[ref] for ref in refs])})"

    def output(self, place: int, width: int) -> str:
        """An array and a place in it for all columns of a node, for a call."""
        if self.wide:
            return f"v, {self._range(place, width)}"
        name = self.name("o")
        self.say(f"final double[] {name} = new double[{width}];")
        self.columns.update({(place, i): f"{name}[{i}]" for i in range(width)})
        return f"{name}, 0"

    def _range(self, place: int, width: int) -> int:
        start = self.take(width)
        for i in range(width):
            self._slot[place, i] = start + i
            self.columns[place, i] = f"v[{start + i}]"
        return start

    def _run(self, refs: Sequence[Ref]) -> int | None:
        """The place of the first, where they lie one after the other in the array."""
        if not self.wide or not refs:
            return None
        start = self._slot[refs[0]]
        return start if all(self._slot[ref] == start + i for i, ref in enumerate(refs)) else None

    @property
    def size(self) -> int:
        """Of how many words the statements are."""
        return sum(map(weight, self.statements))

    def parts(self, taken: str) -> list[str]:
        """The statements as methods that the JVM compiles; `taken` are their parameters."""
        found: list[list[str]] = [[]]
        size = 0
        for statement in self.statements:
            size += weight(statement)
            if size > MOST_CODE and found[-1]:
                found.append([])
                size = weight(statement)
            found[-1].append(statement)
        return [
            f"private static void part{i}({taken}) {{\n" + "\n".join(statements) + "\n}"
            for i, statements in enumerate(found)
        ]

    def members(self, class_name: str) -> str:
        """Fields and methods that the statements need, for a class of that name."""
        fields = [f"private static final {type_} {name} = {text};" for (type_, text), name in self._fields.items()]
        helpers = [HELPERS[name] for name in sorted(self.helpers)]
        return "\n".join([self.constants.fields(class_name), *fields, *self.methods, *helpers])


HELPERS: Mapping[str, str] = {
    "argmax": """
    private static double argmax(double[] x, int at, int count) {
        int best = at;
        for (int i = at + 1; i < at + count && x[best] == x[best]; i++) {
            if (x[i] > x[best] || x[i] != x[i]) best = i;
        }
        return best - at;
    }""",
    "narrowed": """
    private static float[] narrowed(double[] x) {
        float[] found = new float[x.length];
        for (int i = 0; i < x.length; i++) found[i] = (float) x[i];
        return found;
    }""",
    "wholes": """
    private static long[] wholes(double[] x) {
        long[] found = new long[x.length];
        for (int i = 0; i < x.length; i++) found[i] = (long) x[i];
        return found;
    }""",
    # Whether a number, cut to an integer, is in a set of bits.
    "belongs": """
    private static boolean belongs(int[] starts, long[] bits, int set, double x) {
        double whole = x < 0.0 ? Math.ceil(x) : Math.floor(x);
        int from = starts[set], words = starts[set + 1] - from;
        if (!(whole >= 0.0 && whole < 64.0 * words)) return false;
        int member = (int) whole;
        return (bits[from + (member >> 6)] >>> (member & 63) & 1L) != 0L;
    }""",
    # The place of a number among ascending ones, and `otherwise` where it is none of them.
    "find": """
    private static int find(double[] keys, double x, int otherwise) {
        int place = place(keys, x, true);
        return place < keys.length && keys[place] == x ? place : otherwise;
    }""",
    "gathered": """
    private static double[] gathered(double[] v, int[] places) {
        double[] found = new double[places.length];
        for (int i = 0; i < places.length; i++) found[i] = v[places[i]];
        return found;
    }""",
    "log2": """
    private static double log2(double x) {
        double found = Math.log(x) / 0.6931471805599453;
        double near = Math.rint(found);
        return x > 0.0 && Math.abs(near) < 1022.0 && Math.scalb(1.0, (int) near) == x ? near : found;
    }""",
    "lookup": """
    private static int lookup(java.util.HashMap keys, UTF8String text, int otherwise) {
        Object found = keys.get(text);
        return found == null ? otherwise : ((Integer) found).intValue();
    }""",
    # How many of ascending numbers are at or below one, or below it alone.
    "place": """
    private static int place(double[] edges, double x, boolean left) {
        int low = 0, high = edges.length;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (edges[middle] < x || (!left && edges[middle] == x)) low = middle + 1; else high = middle;
        }
        return low;
    }""",
    # C's, where Java's gives NaN.
    "power": """
    private static double power(double x, double y) {
        if (x == 1.0 || (x == -1.0 && Double.isInfinite(y))) return 1.0;
        return Math.pow(x, y);
    }""",
    "refused": """
    private static RuntimeException refused(String why) {
        return new IllegalArgumentException(why);
    }""",
    "tabled": """
    private static java.util.HashMap tabled(UTF8String[] keys) {
        java.util.HashMap found = new java.util.HashMap(4 * keys.length / 3 + 8);
        for (int i = 0; i < keys.length; i++) found.put(keys[i], Integer.valueOf(i));
        return found;
    }""",
}
