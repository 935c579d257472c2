"""The Java around a function's statements: how Spark binds it, calls it and gets its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlml.programs.java_body import Body
from sqlml.programs.java_terms import NoJava, string
from sqlml.programs.program import Ref
from sqlml.programs.publish import Publication, Published

PACKAGE = "sqlml.jvm"

MOST_ARGUMENTS = 120
"""Arguments of a call: the JVM allows 255 places, of which a number takes two."""

_IMPORTS = """
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.ArrayBasedMapData;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.catalyst.util.GenericArrayData;
import org.apache.spark.sql.catalyst.util.MapData;
import org.apache.spark.sql.connector.catalog.functions.BoundFunction;
import org.apache.spark.sql.connector.catalog.functions.ScalarFunction;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
"""


@dataclass(frozen=True)
class Result:
    """How columns become the answer: its Java class, Spark's type, and the expression."""

    class_: str
    type_: str
    text: str


_SCALARS: Mapping[str, tuple[str, str, str]] = {
    "BIGINT": ("Long", "LongType", "Long.valueOf((long) {x})"),
    "BOOLEAN": ("Boolean", "BooleanType", "Boolean.valueOf({x} != 0.0)"),
    "DOUBLE": ("Double", "DoubleType", "Double.valueOf({x})"),
    "FLOAT": ("Float", "FloatType", "Float.valueOf((float) {x})"),
    "INTEGER": ("Integer", "IntegerType", "Integer.valueOf((int) {x})"),
    "VARCHAR": ("UTF8String", "StringType", "{x}"),
}
_LISTS: Mapping[str, tuple[str, str]] = {
    "BIGINT[]": ("LongType", "wholes({x})"),
    "DOUBLE[]": ("DoubleType", "{x}"),
    "FLOAT[]": ("FloatType", "narrowed({x})"),
}


def result(publication: Publication, output: Published, refs: Sequence[Ref], body: Body) -> Result:
    """The answer of a row that gets one."""
    if output == "score":
        return _scalar("DOUBLE", body.columns[refs[0]])
    if output == "proba":
        keys = body.held("ArrayData", _keys(publication, body))
        values = f"UnsafeArrayData.fromPrimitiveArray({body.values(refs)})"
        label = _SCALARS[publication.label_type][1]
        type_ = f"DataTypes.createMapType(DataTypes.{label}, DataTypes.DoubleType, false)"
        return Result("MapData", type_, f"new ArrayBasedMapData({keys}, {values})")
    if "label" in publication.program.heads:
        return _label(publication, body.columns[refs[0]], body)
    returns = publication.returns
    if returns in _LISTS:
        type_, text = _LISTS[returns]
        if returns != "DOUBLE[]":
            body.help(text.partition("(")[0])
        array = f"UnsafeArrayData.fromPrimitiveArray({text.format(x=body.values(refs))})"
        return Result("ArrayData", f"DataTypes.createArrayType(DataTypes.{type_}, false)", array)
    if returns not in _SCALARS or returns == "VARCHAR" or len(refs) > 1:
        raise NoJava(f"an answer of the type {returns}")
    return _scalar(returns, body.columns[refs[0]])


def _scalar(type_: str, x: str) -> Result:
    class_, spark, text = _SCALARS[type_]
    return Result(class_, f"DataTypes.{spark}", text.format(x=x))


def _label(publication: Publication, place: str, body: Body) -> Result:
    labels, type_ = publication.labels, publication.label_type
    if labels is None:
        return _scalar("DOUBLE", place)
    if type_ == "VARCHAR":
        return _scalar(type_, f"{body.constants.texts([str(one) for one in labels])}[(int) {place}]")
    if type_ == "BIGINT":
        _, spark, _ = _SCALARS[type_]
        return Result("Long", f"DataTypes.{spark}", f"Long.valueOf({body.constants.longs(labels)}[(int) {place}])")
    return _scalar(type_, f"{body.constants.doubles([float(one) for one in labels])}[(int) {place}]")


def _keys(publication: Publication, body: Body) -> str:
    """The classes as the keys of a map, made once."""
    labels = publication.labels
    assert labels is not None
    if publication.label_type == "VARCHAR":
        return f"new GenericArrayData((Object[]) {body.constants.texts([str(one) for one in labels])})"
    if publication.label_type == "BOOLEAN":
        texts = ["Boolean.TRUE" if one else "Boolean.FALSE" for one in labels]
        return f"new GenericArrayData(new Object[] {{{', '.join(texts)}}})"
    held = body.constants.longs if publication.label_type == "BIGINT" else body.constants.doubles
    return f"UnsafeArrayData.fromPrimitiveArray({held(labels)})"


@dataclass(frozen=True)
class Face:
    """What Spark sees of a function."""

    name: str
    arguments: Sequence[tuple[str, str]]
    optional: Sequence[bool]
    """Of each argument, whether a NULL is the function's to answer."""
    result: Result

    @property
    def numbers(self) -> list[int]:
        """The places of the arguments that are numbers."""
        return [i for i, (_, type_) in enumerate(self.arguments) if type_ != "VARCHAR"]

    @property
    def texts(self) -> list[int]:
        """The places of the arguments that are text."""
        return [i for i, (_, type_) in enumerate(self.arguments) if type_ == "VARCHAR"]


def class_text(face: Face, body: Body, required: str) -> str:
    """The class, but for `$CLASS$`, its name, and `$MEMBERS$`, what the statements need.

    `required` are the statements that end a row where what it needs is missing, if `body` is wide.
    """
    kinds = "".join({"VARCHAR": "t", "BOOLEAN": "b"}.get(type_, "d") for _, type_ in face.arguments)
    shown = ", ".join(f"{name} {type_}" for name, type_ in face.arguments)
    values = {
        "$NAME$": string(face.name),
        "$SHOWN$": string(f"{face.name}({shown})"[:4_000]),
        "$KINDS$": string(kinds),
        "$OPTIONAL$": string("".join("1" if optional else "0" for optional in face.optional)),
        "$COUNT$": str(len(face.arguments)),
        "$WIDE$": str(len(face.arguments) > MOST_ARGUMENTS).lower(),
        "$TYPE$": face.result.type_,
        "$CALLS$": _calls(face, body, required),
    }
    text = _CLASS
    for key, value in values.items():
        text = text.replace(key, value)
    return f"package {PACKAGE};\n{_IMPORTS}{text}"


def _calls(face: Face, body: Body, required: str) -> str:
    """The methods that answer: `invoke` where there are few arguments, which Spark's code calls, and for a row."""
    returns = face.result.class_
    texts, numbers = face.texts, face.numbers
    parts = []
    answer = f"return {face.result.text};"
    if body.wide:
        taken = "double[] v, UTF8String[] t"
        steps = body.parts(taken)
        calls = "\n".join(f"part{i}(v, t);" for i in range(len(steps)))
        parts += [*steps, f"private static {returns} answer({taken}) {{\n{required}\n{calls}\n{answer}\n}}"]
    if len(face.arguments) > MOST_ARGUMENTS:
        held = body.constants.ints
        parts.append(f"""
            public Object produceResult(InternalRow row) {{
                double[] v = new double[{body.slots}];
                UTF8String[] t = new UTF8String[{len(texts)}];
                for (int i = 0; i < {len(numbers)}; i++) v[i] = number(row, {held(numbers)}[i]);
                for (int i = 0; i < {len(texts)}; i++) t[i] = text(row, {held(texts)}[i]);
                return answer(v, t);
            }}""")
        return "\n".join(parts)
    if body.wide:
        filled = "\n".join(f"v[{slot}] = a{i};" for slot, i in enumerate(numbers))
        t = f"new UTF8String[] {{{', '.join(f'a{i}' for i in texts)}}}"
        inner = f"double[] v = new double[{body.slots}];\n{filled}\nreturn answer(v, {t});"
    else:
        inner = "\n".join([*body.statements, answer])
    types = ["UTF8String" if type_ == "VARCHAR" else "double" for _, type_ in face.arguments]
    parts.append(f"public static {returns} invoke({_taken(types)}) {{\n{inner}\n}}")
    booleans = [type_ == "BOOLEAN" for _, type_ in face.arguments]
    if any(booleans):
        given = [f"a{i} ? 1.0 : 0.0" if boolean else f"a{i}" for i, boolean in enumerate(booleans)]
        types = ["boolean" if boolean else type_ for type_, boolean in zip(types, booleans, strict=True)]
        parts.append(f"public static {returns} invoke({_taken(types)}) {{ return invoke({', '.join(given)}); }}")
    read = ", ".join(f"text(row, {i})" if i in texts else f"number(row, {i})" for i in range(len(types)))
    parts.append(f"public Object produceResult(InternalRow row) {{ return invoke({read}); }}")
    return "\n".join(parts)


def _taken(types: Sequence[str]) -> str:
    return ", ".join(f"{type_} a{i}" for i, type_ in enumerate(types))


# Spark knows two calls as the same one by `equals`: an expression of GROUP BY in the SELECT list, say.
# A row goes through `Rows`, which has no `invoke`, where a NULL in a number is the function's to answer: Spark's own
# code would answer it with NULL.
_CLASS = """
public final class $CLASS$ implements UnboundFunction, ScalarFunction {
$MEMBERS$

    private static final String KINDS = $KINDS$, OPTIONAL = $OPTIONAL$;

    private final boolean once, booleans;

    public $CLASS$() { this(false); }

    public $CLASS$(boolean once) { this(once, false); }

    private $CLASS$(boolean once, boolean booleans) {
        this.once = once;
        this.booleans = booleans;
    }

    public String name() { return $NAME$; }

    public String canonicalName() { return "$CLASS$"; }

    public String description() { return $SHOWN$; }

    public BoundFunction bind(StructType given) {
        StructField[] fields = given.fields();
        if (fields.length != $COUNT$) {
            throw new UnsupportedOperationException($SHOWN$ + " takes $COUNT$ arguments, and got " + fields.length);
        }
        boolean truth = false, rows = $WIDE$;
        for (int i = 0; i < fields.length; i++) {
            truth |= KINDS.charAt(i) == 'b' && fields[i].dataType().equals(DataTypes.BooleanType);
            rows |= OPTIONAL.charAt(i) == '1' && fields[i].nullable();
        }
        $CLASS$ found = new $CLASS$(once, truth);
        if (rows) return new Rows(found);
        return found;
    }

    public DataType[] inputTypes() {
        DataType[] types = new DataType[$COUNT$];
        for (int i = 0; i < types.length; i++) {
            char kind = KINDS.charAt(i);
            types[i] = kind == 't' ? DataTypes.StringType : DataTypes.DoubleType;
            if (kind == 'b' && booleans) types[i] = DataTypes.BooleanType;
        }
        return types;
    }

    public DataType resultType() { return $TYPE$; }

    public boolean isDeterministic() { return !once; }

    public boolean equals(Object other) {
        if (!(other instanceof $CLASS$)) return false;
        $CLASS$ same = ($CLASS$) other;
        return once == same.once && booleans == same.booleans;
    }

    public int hashCode() { return canonicalName().hashCode() + (once ? 1 : 0) + (booleans ? 2 : 0); }

    private double number(InternalRow row, int i) {
        if (row.isNullAt(i)) return Double.NaN;
        if (booleans && KINDS.charAt(i) == 'b') return row.getBoolean(i) ? 1.0 : 0.0;
        return row.getDouble(i);
    }

    private UTF8String text(InternalRow row, int i) {
        return row.isNullAt(i) ? null : row.getUTF8String(i);
    }

$CALLS$

    public static final class Rows implements ScalarFunction {
        private final $CLASS$ function;

        public Rows($CLASS$ function) { this.function = function; }

        public String name() { return function.name(); }

        public String canonicalName() { return function.canonicalName(); }

        public DataType[] inputTypes() { return function.inputTypes(); }

        public DataType resultType() { return function.resultType(); }

        public boolean isDeterministic() { return function.isDeterministic(); }

        public boolean equals(Object other) {
            return other instanceof Rows && function.equals(((Rows) other).function);
        }

        public int hashCode() { return function.hashCode(); }

        public Object produceResult(InternalRow row) { return function.produceResult(row); }
    }
}
"""
