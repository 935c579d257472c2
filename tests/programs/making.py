"""Programs and rows to try them on."""

from __future__ import annotations

import numpy as np

from sqlml.programs.program import Builder, Program, Screened, Trees

ODD = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-35, 1e30, -1e30, 3.5e38, 1e300, np.inf, -np.inf, np.nan]


def numbers(names):
    graph = Builder([(name, False) for name in names])
    return graph, tuple(ref for name in names for ref in graph.input(name))


def rows(random, count, width):
    """Mostly small numbers of two decimals, so that thresholds are hit, with odd ones among them."""
    held = np.round(random.normal(size=(count, width)), 2)
    odd = random.random((count, width)) < 0.08
    held[odd] = random.choice(ODD, odd.sum())
    return held


def grown(random, features, *, leaves, deep=False, categories=0, narrow=False):
    """One tree: nodes as (feature, threshold, left, right, missing left, set), children ~leaf where negative."""
    nodes: list[list] = []
    frontier: list[tuple[int, int]] = [(-1, 0)]
    while len(frontier) < leaves:
        at = len(frontier) - 1 if deep else int(random.integers(len(frontier)))
        parent, side = frontier.pop(at)
        feature = int(random.integers(features))
        threshold = round(float(random.normal()), 2)
        members = sorted(random.choice(12, 4, replace=False).tolist()) if feature < categories else None
        nodes.append(
            [feature, float(np.float32(threshold)) if narrow else threshold, 0, 0, bool(random.integers(2)), members]
        )
        if parent >= 0:
            nodes[parent][2 + side] = len(nodes) - 1
        frontier += [(len(nodes) - 1, 0), (len(nodes) - 1, 1)]
    for leaf, (parent, side) in enumerate(frontier):
        if parent >= 0:
            nodes[parent][2 + side] = ~leaf
    return nodes, len(frontier)


def ensemble(random, features, trees, *, width=1, outputs=1, narrow=False, **options) -> dict:
    """The fields of `Trees`, for so many trees of random shape."""
    held: dict[str, list] = {name: [] for name in ("feature", "threshold", "left", "right", "missing_left", "set_of")}
    starts, members, roots, leaves, output_of = [0], [], [], [], []
    for tree in range(trees):
        nodes, count = grown(random, features, narrow=narrow, **options)
        first, first_leaf = len(held["feature"]), len(leaves)
        for feature, threshold, left, right, missing_left, chosen in nodes:
            held["feature"].append(feature)
            held["threshold"].append(threshold)
            for name, child in (("left", left), ("right", right)):
                held[name].append(~(first_leaf + ~child) if child < 0 else first + child)
            held["missing_left"].append(missing_left)
            held["set_of"].append(-1 if chosen is None else len(starts) - 1)
            if chosen is not None:
                members += chosen
                starts.append(len(members))
        roots.append(first if nodes else ~first_leaf)
        leaves += random.normal(size=(count, width)).tolist()
        output_of.append(tree % outputs if width == 1 else -1)
    integers = {
        name: np.array(values, np.int32) for name, values in held.items() if name not in ("threshold", "missing_left")
    }
    return {
        **integers,
        "threshold": np.array(held["threshold"], float),
        "missing_left": np.array(held["missing_left"], bool),
        "set_starts": np.array(starts, np.int32),
        "set_members": np.array(members, np.int32),
        "roots": np.array(roots, np.int32),
        "leaves": np.array(leaves, float).reshape(-1, width),
        "output_of": np.array(output_of, np.int32),
        "base": random.normal(size=max(width, outputs)),
        "compare": "float32" if narrow else "float64",
    }


def forest(random, features, trees, **options) -> Program:
    total = {name: options.pop(name) for name in ("sum", "base_last", "divisor") if name in options}
    graph, columns = numbers([f"x{i}" for i in range(features)])
    return graph.program(
        {"value": graph.add(Trees(inputs=columns, **ensemble(random, features, trees, **options), **total))}
    )


def screened(program, *, below=True, above=True):
    """The program whose last node is an ensemble, screened by one argument more."""
    nodes = list(program.nodes)
    trees = nodes.pop()
    graph = Builder([*((node.name, node.text) for node in program.inputs), ("bound", False)])
    moved = len(program.inputs)
    graph.nodes += [
        type(node)(inputs=tuple((n + (n >= moved), c) for n, c in node.inputs), **node.parts())
        for node in nodes[moved:]
    ]
    inputs = tuple((n + (n >= moved), c) for n, c in trees.inputs) + graph.input("bound")
    held = graph.add(Screened(inputs=inputs, below=below, above=above, **trees.parts()))
    return graph.program({"value": held})
