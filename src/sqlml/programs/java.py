"""A function as a Java class that Spark calls from its own generated code, and a catalog of such classes.

A class answers rows as `evaluate` does: NULL where an argument that the model needs is missing, an error where the
program refuses the row. Sums of weights may be added up in another order. It needs Spark and nothing else.

Spark itself answers a row with a NULL in a number with NULL, before the class sees it. Where such a NULL is the
model's to answer, rows are passed another way, which is slower, unless the call gives NaN for it: `call_text` does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlml.programs.java_body import MOST_CODE, Body
from sqlml.programs.java_class import MOST_ARGUMENTS, PACKAGE, Face, class_text, result
from sqlml.programs.java_printer import Printer
from sqlml.programs.java_terms import NoJava, number, string
from sqlml.programs.publish import FRACTIONS, SUFFIXES, WHOLE, Publication, Published
from sqlml.programs.simplify import prune
from sqlml.programs.sql_terms import quoted

__all__ = ["JavaSource", "NoJava", "call_text", "catalog_of", "java_of"]


@dataclass(frozen=True)
class JavaSource:
    """A class to compile: its full name, its text, and the files that it reads, by their paths in the jar."""

    class_name: str
    source: str
    resources: Mapping[str, bytes]


def java_of(publication: Publication, output: Published) -> JavaSource:
    """One output of a function. Equal functions have equal classes, of the same name.

    Raises:
        NoJava: the program, its arguments or its answer can't be in a class.
    """
    function = _Function(publication, output)
    body = function.body(wide=len(publication.arguments) > MOST_ARGUMENTS)
    text = function.text(body)
    if not body.wide and body.size > MOST_CODE:
        body = function.body(wide=True)
        text = function.text(body)
    # The class is named after all that it holds; its fields and their file name it.
    data, unnamed = body.constants.data(), body.members("$CLASS$")
    name = f"F{hashlib.sha256((text + unnamed).encode() + data).hexdigest()[:24]}"
    source = text.replace("$MEMBERS$", body.members(name)).replace("$CLASS$", name)
    files = {f"{PACKAGE.replace('.', '/')}/{name}.bin": data} if data else {}
    return JavaSource(f"{PACKAGE}.{name}", source, files)


# Of a power Spark knows that it is never NULL, which it doesn't of a cast of 'NaN'.
_NAN = "power(-1e0, 5e-1)"

ONCE = "once"
"""The namespace of the same functions as ones that are not deterministic, which Spark neither copies nor moves."""


def call_text(
    publication: Publication, output: Published, catalog: str, given: Sequence[str], *, once: bool = False
) -> str:
    """A call of a function in a catalog, as SQL: what may be missing is given as NaN, which is the fast way.

    Args:
        publication: what the class was made of.
        output: which one.
        catalog: the name under which Spark knows the catalog.
        given: an expression for each argument.
        once: whether Spark is kept from putting the call in two places.
    """
    optional = _Function(publication, output).optional
    casts = []
    for text, (_, type_), may in zip(given, publication.arguments, optional, strict=True):
        cast = f"CAST({text} AS {'STRING' if type_ == 'VARCHAR' else 'DOUBLE'})"
        casts.append(f"coalesce({cast}, {_NAN})" if may else cast)
    name = quoted(publication.function + SUFFIXES[output], "spark")
    return f"{quoted(catalog, 'spark')}.{f'{ONCE}.' if once else ''}{name}({', '.join(casts)})"


class _Function:
    """One output of a publication."""

    def __init__(self, publication: Publication, output: Published) -> None:
        for _, type_ in publication.arguments:
            if type_ not in ("VARCHAR", *FRACTIONS, *WHOLE):
                raise NoJava(f"an argument of the type {type_}")
        self.publication, self.output = publication, output
        head = "probabilities"
        if output == "predict":
            head = "label" if "label" in publication.program.heads else "value"
        refs = publication.program.heads[head]
        self.program = prune(publication.program, {"all": refs[-1:] if output == "score" else refs})
        every = range(len(publication.arguments))
        self.required = frozenset(every) if publication.required is None else publication.required

    @property
    def optional(self) -> list[bool]:
        """Of each argument, whether a NULL in a number is not Spark's to answer."""
        return [
            type_ != "VARCHAR" and (i not in self.required or self.publication.strict)
            for i, (_, type_) in enumerate(self.publication.arguments)
        ]

    def body(self, *, wide: bool) -> Body:
        """The statements that answer a row."""
        body = Body(wide=wide)
        given = self._given(wide=wide)
        if self.publication.strict:
            self._insist(body, given)
        elif not wide:
            body.statements += [f"if ({self._missing(i, given[i])}) return null;" for i in sorted(self.required)]
        for i in self.program.used:
            self._cast(body, i, given[i])
        Printer(self.program, self.program.heads["all"], given, body).print()
        return body

    def _given(self, *, wide: bool) -> list[str]:
        """Where each argument is: a parameter, or a place among the numbers or the texts."""
        found, numbers, texts = [], 0, 0
        for i, (_, type_) in enumerate(self.publication.arguments):
            if not wide:
                found.append(f"a{i}")
            elif type_ == "VARCHAR":
                found.append(f"t[{texts}]")
                texts += 1
            else:
                found.append(f"v[{numbers}]")
                numbers += 1
        return found

    def text(self, body: Body) -> str:
        """The class around the statements."""
        answer = result(self.publication, self.output, self.program.heads["all"], body)
        name = self.publication.function + SUFFIXES[self.output]
        face = Face(name, self.publication.arguments, self.optional, answer)
        return class_text(face, body, self._required(body) if body.wide else "")

    def _insist(self, body: Body, given: Sequence[str]) -> None:
        """Missing values first: what else would be wrong with such a row doesn't matter."""
        for i in sorted(self.required):
            why = string(f"The argument '{self.publication.arguments[i][0]}' is missing")
            body.say(f"if ({self._missing(i, given[i])}) throw {body.help('refused')}({why});")

    def _missing(self, i: int, x: str) -> str:
        return f"{x} == null" if self.publication.arguments[i][1] == "VARCHAR" else f"{x} != {x}"

    def _required(self, body: Body) -> str:
        """The end of a row in which what the model needs is missing, where the arguments are in arrays."""
        if self.publication.strict:
            return ""
        given = self._given(wide=True)
        found = []
        for letter in "vt":
            places = [int(given[i][2:-1]) for i in sorted(self.required) if given[i][0] == letter]
            held = f"{body.constants.ints(places)}[i]"
            missing = f"v[{held}] != v[{held}]" if letter == "v" else f"t[{held}] == null"
            found.append(f"for (int i = 0; i < {len(places)}; i++) if ({missing}) return null;")
        return "\n".join(found)

    def _cast(self, body: Body, i: int, x: str) -> None:
        """The checks that Spark's casts to DOUBLE don't make."""
        name, type_ = self.publication.arguments[i]
        if type_ == "FLOAT":
            body.say(f"{x} = (double) (float) {x};")
        if type_ == "BOOLEAN":
            wrong = f"{x} == {x} && {x} != 0.0 && {x} != 1.0"
        elif type_ in WHOLE:
            end = number(float(WHOLE[type_]))
            wrong = f"{x} == {x} && !({x} == Math.rint({x}) && {x} >= -{end} && {x} < {end})"
        else:
            return
        why = string(f"The argument '{name}' takes {type_}, and got ")
        body.say(f"if ({wrong}) throw {body.help('refused')}({why} + {x});")


def catalog_of(class_name: str, functions: Mapping[str, JavaSource]) -> JavaSource:
    """A catalog of functions: `functions` are their classes by their names in SQL.

    Args:
        class_name: the full name of its class, which `spark.sql.catalog.<name>` is set to.
        functions: as `java_of` made them.

    Raises:
        NoJava: it is no name of a class in a package.
    """
    package, _, name = class_name.rpartition(".")
    if not package or not all(part.isascii() and part.isidentifier() for part in class_name.split(".")):
        raise NoJava(f"'{class_name}' is no class in a package")
    puts = "\n".join(f"put({string(sql)}, {string(java.class_name)});" for sql, java in sorted(functions.items()))
    text = _CATALOG.replace("$PACKAGE$", package).replace("$CLASS$", name).replace("$PUTS$", puts)
    text = text.replace("$ONCE$", string(ONCE))
    return JavaSource(class_name, text, {})


_CATALOG = """
package $PACKAGE$;

import org.apache.spark.sql.catalyst.analysis.NoSuchFunctionException;
import org.apache.spark.sql.catalyst.analysis.NoSuchNamespaceException;
import org.apache.spark.sql.connector.catalog.FunctionCatalog;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

public final class $CLASS$ implements FunctionCatalog {
    private static final java.util.TreeMap CLASSES = new java.util.TreeMap();
    private static final java.util.TreeMap FOLDED = new java.util.TreeMap();

    static {
        $PUTS$
    }

    private String name;

    private static void put(String function, String type) {
        CLASSES.put(function, type);
        FOLDED.put(function.toLowerCase(java.util.Locale.ROOT), type);
    }

    public void initialize(String name, CaseInsensitiveStringMap options) { this.name = name; }

    public String name() { return name; }

    public Identifier[] listFunctions(String[] namespace) throws NoSuchNamespaceException {
        if (namespace.length > 0) throw new NoSuchNamespaceException(namespace);
        Object[] names = CLASSES.keySet().toArray();
        Identifier[] found = new Identifier[names.length];
        for (int i = 0; i < names.length; i++) found[i] = new Named((String) names[i]);
        return found;
    }

    public UnboundFunction loadFunction(Identifier function) throws NoSuchFunctionException {
        String[] space = function.namespace();
        boolean once = space.length == 1 && space[0].equals($ONCE$);
        Object type = null;
        if (space.length == 0 || once) type = CLASSES.get(function.name());
        if (type == null && (space.length == 0 || once)) {
            type = FOLDED.get(function.name().toLowerCase(java.util.Locale.ROOT));
        }
        if (type == null) throw new NoSuchFunctionException(function);
        try {
            Class held = Class.forName((String) type, true, $CLASS$.class.getClassLoader());
            Object[] given = new Object[] {Boolean.valueOf(once)};
            return (UnboundFunction) held.getDeclaredConstructor(new Class[] {Boolean.TYPE}).newInstance(given);
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException(error);
        }
    }

    // The compiler that Spark ships calls no static method of an interface: `Identifier.of` is one.
    private static final class Named implements Identifier {
        private final String name;

        Named(String name) { this.name = name; }

        public String[] namespace() { return new String[0]; }

        public String name() { return name; }
    }
}
"""
