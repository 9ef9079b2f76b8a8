"""`Any` in what functions take and give: where nothing else is true, and nowhere else."""

import ast

from test_rooms import ROOT, SOURCES

MOST = 50
"""Parameters and returns with `Any`, of the house as a whole."""


def holds_any(node):
    """Whether `Any` stands in an annotation or in the definition of an alias, also in quotes."""
    for each in ast.walk(node):
        if isinstance(each, ast.Name | ast.Attribute) and getattr(each, "id", getattr(each, "attr", "")) == "Any":
            return True
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            try:
                quoted = ast.parse(each.value, mode="eval")
            except SyntaxError:  # a text, as in Literal["a text"]
                continue
            if not isinstance(quoted.body, ast.Constant) and holds_any(quoted.body):
                return True
    return False


def annotations(function):
    """Name and annotation of each parameter, and of what comes back."""
    of = function.args
    for each in (*of.posonlyargs, *of.args, *of.kwonlyargs, of.vararg, of.kwarg):
        if each is not None and each.annotation is not None:
            yield each.arg, each.annotation
    if function.returns is not None:
        yield "->", function.returns


def in_signatures(tree):
    """Line, function and annotation of each `Any` in a signature."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for name, annotation in annotations(node):
                if holds_any(annotation):
                    yield f"{annotation.lineno}: {node.name}: {name} {ast.unparse(annotation)}"


def test_any_is_counted_wherever_it_stands():
    text = """
def one(a: Any, /, b: dict[str, Any], *c: typing.Any, d: "Mapping[str, Any]", e: int, **f: "Any") -> Any: ...
class Two:
    async def three(self, Any: int, g: Literal["Any of them", "'"], h: "Anything") -> "Many": ...
"""
    found = list(in_signatures(ast.parse(text)))
    assert [each.split(" ")[2] for each in found] == ["a", "b", "d", "c", "f", "->"]


def test_signatures_say_what_they_are_of():
    found = [
        f"{path.relative_to(ROOT)}:{each}"
        for path in SOURCES.values()
        for each in in_signatures(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert len(found) <= MOST, f"{len(found)} times Any, and {MOST} are the most:\n" + "\n".join(found)


def test_an_alias_with_any_in_it_says_what_it_is():
    wrong = []
    for path in SOURCES.values():
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for node, after in zip(body, [*body[1:], None], strict=True):
            value = getattr(node, "value", None)
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) != "TypeAlias":
                continue
            if isinstance(node, ast.Assign | ast.AnnAssign) and value is not None and holds_any(value):
                told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                if not told or ast.unparse(value) in ("Any", "typing.Any"):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert not wrong, "\n".join(wrong)
