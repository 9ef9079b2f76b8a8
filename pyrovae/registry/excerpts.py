"""What a file says of its options, read without an import: torch takes longer to import than all the rest of a help.

Of a file those statements are executed that a Config needs: its class, the bases and constants that this names, and
what they name in turn, through the imports of the house. Functions have no code, and raise `NeedsImportError` where one
is called. So nothing runs but a few definitions, the standard library and what is imported already. Where a Config
needs more, or a file does more than define each name once, only the import tells the options.
"""

import ast
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from pyrovae.config import C, Config, from_signature
from pyrovae.options import TrainConfig
from pyrovae.registry.names import GIVEN, Kind, files, is_own_name, parsed
from pyrovae.registry.own_code import found_in
from pyrovae.runtime.installed import file_of, installed

HOUSE = "pyrovae"

NEVER = ("TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'")
"""Conditions that do not hold while a file is imported."""

NO_CODE = ast.parse("raise __unreadable__('a function is called')").body
"""What stands in the place of the code of every function."""

Function = ast.FunctionDef | ast.AsyncFunctionDef

PART = ast.FunctionDef | ast.ClassDef


class NeedsImportError(Exception):
    """Only an import tells the options of a file."""


def options_of_model(name: str, leave_out: Collection[str]) -> tuple[type[Config], type[TrainConfig]]:
    """The options of a model and of its training: classes with the fields of the real ones, to be listed, not made.

    Args:
        name: of a file, of an entry point, or of the user's own code.
        leave_out: parameters of a class or function that are no options.

    Raises:
        NeedsImportError: where only an import tells; also where there is no such model.
    """
    with _or_import():
        place, file, attribute = _place(name)
        read = Excerpts(place, file)
        if attribute:
            return read.signature(attribute, leave_out), TrainConfig
        read.definition("build")
        training = read.value(place, "Training") if "Training" in read.statements[place] else TrainConfig
        return _listed(read.value(place, "Config"), Config), _listed(training, TrainConfig)


def options_of_part(kind: Kind, name: str) -> type[Config]:
    """The options of a guide family, an objective, a likelihood or a prior that pyrovae has.

    Raises:
        NeedsImportError: where only an import tells.
    """
    with _or_import():
        read = Excerpts(f"{HOUSE}.{kind}.{name}", files(kind)[name])
        statements = read.statements[read.place]
        own = [each for each in statements if is_own_name(each, name) and isinstance(statements[each], PART)]
        own.sort(key=lambda each: isinstance(statements[each], ast.ClassDef))
        return read.signature(own[0], GIVEN[kind], "build" if kind == "objectives" else "__init__")


@contextmanager
def _or_import() -> Iterator[None]:
    """Inside, whatever goes wrong, or only warns, is a NeedsImportError: an import will tell it better."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    except Exception as error:
        raise NeedsImportError(f"{type(error).__name__}: {error}") from error


def _place(name: str) -> tuple[str, Path | None, str]:
    """Of a model its module, the file of this, and what is named in it: nothing where the module is the model."""
    where, _, attribute = name.rpartition(":")
    if where:
        return (f"pyrovae_user_{Path(where).stem}" if where.endswith(".py") else where), found_in(name), attribute
    if name in (known := files("models")):
        return f"{HOUSE}.models.{name}", known[name], ""
    point = installed(f"{HOUSE}.models")[name]
    return point.module, file_of(point.module), point.attr or ""


def _listed(config: type, kind: type[C]) -> type[C]:
    """`config`, where it is a `kind` and all that a help shows of its fields is there."""
    if not issubclass(config, kind) or not config.__pydantic_complete__:
        raise NeedsImportError(f"{config} is no {kind.__name__}, or an annotation in it is not known")
    if "use_attribute_docstrings" in config.model_config:
        raise NeedsImportError(f"{config}: pydantic reads its source")
    for info in config.model_fields.values():
        default = info.get_default(call_default_factory=True)
        for each in default if isinstance(default, tuple | list) else [default]:
            str(each)  # a help does so, and must meet no function without code
    return config


class Excerpts:
    """Modules of which those names only are executed that are asked for.

    Args:
        place: dotted name of the first module. Those of its package and of pyrovae are read, others are imported.
        file: where it is.
    """

    def __init__(self, place: str, file: Path | None) -> None:
        self.place = place
        self.houses = (HOUSE, place.partition(".")[0])
        self.modules: dict[str, ModuleType] = {}
        self.statements: dict[str, dict[str, ast.stmt]] = {}
        if place in sys.modules:
            raise NeedsImportError(f"{place} is imported")
        self._open(place, file)

    def _open(self, place: str, file: Path | None) -> ModuleType:
        if file is None:
            raise NeedsImportError(f"{place} has no file")
        self.statements[place] = found = {}
        for name, node in _bindings(parsed(file)):
            if name in found:
                raise NeedsImportError(f"{place} binds {name} twice")
            found[name] = node
        if name := _changed_by_a_value(found):
            raise NeedsImportError(f"{place}: the value of {name} may change another one")
        self.modules[place] = module = ModuleType(place)
        module.__file__ = str(file)
        module.__package__ = place if file.stem == "__init__" else place.rpartition(".")[0]
        vars(module).update(__getattr__=partial(self.value, place), __unreadable__=NeedsImportError)
        return module

    def module(self, place: str) -> ModuleType:
        """An excerpt of a module of the house; another itself, where it is imported or of the standard library."""
        if found := sys.modules.get(place) or self.modules.get(place):
            return found
        top = place.partition(".")[0]
        if top in self.houses:
            return self._open(place, file_of(place))
        if top not in sys.stdlib_module_names and top not in sys.modules:
            raise NeedsImportError(f"{place} may import torch")
        return importlib.import_module(place)

    def value(self, place: str, name: str) -> Any:
        """What a name of a module stands for."""
        module, statements = self.module(place), self.statements.get(place, {})
        if name in statements:
            node = statements.pop(name)  # so that a circle ends, at a name that is not there
            match node:
                case ast.Import(names=[alias]):
                    imported = self.module(alias.name)
                    vars(module)[name] = imported if alias.asname else self.module(name)
                case ast.ImportFrom(names=[alias]):
                    vars(module)[name] = self.value(_origin(module, node), alias.name)
                case _:
                    self._execute(module, _without_annotations(node))
        if name not in vars(module) and place.partition(".")[0] in self.houses and file_of(f"{place}.{name}"):
            return self.module(f"{place}.{name}")
        return vars(module)[name] if place in self.modules else getattr(module, name)

    def _execute(self, module: ModuleType, node: ast.stmt) -> None:
        """A definition, and before it what it names; a name that is not there is Python's to complain of."""
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and each.id in self.statements[module.__name__]:
                self.value(module.__name__, each.id)
        exec(compile(ast.Module([node], []), str(module.__file__), "exec", dont_inherit=True), vars(module))

    def definition(self, name: str, place: str | None = None) -> tuple[ModuleType, ast.stmt]:
        """The module and the statement that define a name, which the first module may import from the house."""
        module = self.module(place or self.place)
        node = self.statements[module.__name__][name]
        if isinstance(node, ast.ImportFrom):
            return self.definition(node.names[0].name, _origin(module, node))
        return module, node

    def signature(self, name: str, leave_out: Collection[str], method: str = "__init__") -> type[Config]:
        """The Config of the parameters of a function, or of a method of a class."""
        module, node = self.definition(name)
        decorators = set[str]()
        if isinstance(node, ast.ClassDef):
            node, decorators = _method(node, method), {"classmethod"}
            del node.args.args[0]
        if not isinstance(node, Function) or {ast.unparse(each) for each in node.decorator_list} - decorators:
            raise NeedsImportError(f"{name} is no plain function")
        node.decorator_list = []
        self._execute(module, _without_annotations(node, leave_out))
        return _listed(from_signature(vars(module)[node.name], leave_out), Config)


def _method(of: ast.ClassDef, name: str) -> Function:
    """The method whose parameters are what the class takes, if no base, decorator or `__new__` may have others and it
    names nothing that the class holds."""
    methods = {each.name: each for each in of.body if isinstance(each, Function)}
    around = {ast.unparse(each) for each in (*of.bases, *of.keywords, *of.decorator_list)}
    stored = {each.id for each in ast.walk(of) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    named = {each.id for each in ast.walk(methods[name].args) if isinstance(each, ast.Name)}
    if around - {"nn.Module"} or "__new__" in methods or name in stored or named & {*methods, *stored}:
        raise NeedsImportError(f"the parameters of {of.name} may be others")
    return methods[name]


def _without_annotations(node: ast.stmt, left: Collection[str] | None = None) -> ast.stmt:
    """Takes the code of all functions in a statement away, and the annotations of their parameters, or of those of
    `left`: they are no options, and may name what needs torch."""
    for each in ast.walk(node):
        if isinstance(each, ast.arg) and (left is None or each.arg in left):
            each.annotation = None
        elif isinstance(each, Function):
            each.body, each.returns = NO_CODE, None
    return node


def _origin(module: ModuleType, node: ast.ImportFrom) -> str:
    """The module from which a statement of another imports."""
    return importlib.util.resolve_name("." * node.level + (node.module or ""), module.__package__)


def _changed_by_a_value(statements: Mapping[str, ast.stmt]) -> str:
    """The name of a file whose value calls a function of the file, or a method of another value of it: what they change
    would be missing where nobody asks for that name. Empty where there is none."""
    values = {name: each.value for name, each in statements.items() if isinstance(each, ast.Assign | ast.AnnAssign)}
    functions = {name for name, each in statements.items() if isinstance(each, Function)}
    for name, value in values.items():
        for call in [each.func for each in ast.walk(value or ast.Pass()) if isinstance(each, ast.Call)]:
            root: ast.expr = call
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in (values if isinstance(call, ast.Attribute) else functions):
                return name
    return ""


def _bindings(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """The names that a file defines, and how; raises NeedsImportError for one that does anything else."""
    for node in tree.body:
        match node:
            case ast.Expr(value=ast.Constant()) | ast.ImportFrom(module="__future__"):
                pass
            case ast.If(test=test, orelse=[]) if ast.unparse(test) in NEVER:
                pass
            case ast.Import(names=names):
                yield from ((each.asname or each.name.partition(".")[0], ast.Import([each])) for each in names)
            case ast.ImportFrom(module=module, names=names, level=level) if names[0].name != "*":
                yield from ((each.asname or each.name, ast.ImportFrom(module, [each], level)) for each in names)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name, node
            case _:
                raise NeedsImportError(f"line {node.lineno} is no definition")
