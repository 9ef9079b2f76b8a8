"""The order of the rooms: which may import which, also in functions and where only types are checked."""

import ast
import functools
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ORDER = (
    "aliases",
    "errors _version",
    "config storage runtime",
    "options estimators pairs data",
    "registry nets lowering",
    "flows objectives likelihoods",
    "priors guides svi",
    "evaluation",
    "generation plots",
    "runs",
    "training",
    "comparison",
    "reproduction testing",
    "models cli",
)
"""Each room imports those of the lines above it and itself, never one of its own line. `.ci/rooms.py` prints it."""

LEVEL = {room: level for level, line in enumerate(ORDER) for room in line.split()}

WINGS = {"importance", "annealing", "refitting", "latents"}
GROUND = {"assumed", "chunks", "elbo", "per_datum", "bootstrap", "posterior"}

SAME_NAME = {
    "__init__": "a face",
    "choose": "one a kind of thing: what a spec or options ask for",
    "columns": "of data, and of the table of a comparison",
    "coupling": "the transform, and the guide made of it",
    "elbo": "the objective, and the score",
    "flow": "transforms, and the prior made of them",
    "iaf": "the guide, and the model",
    "options": "of training, and of data",
    "posteriors": "grids of p(z | x) beside the guides, and their picture",
    "table": "of a comparison, and of a check",
}
"""File names that stand in two rooms, and why."""


def sources():
    """Module name -> file, of every file of the house; links to folders are not followed."""
    out = {}
    for room in ("pyrovae", "models", "cli"):
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).parts
            if parts[0] == "pyrovae" and parts[1] in ("models", "cli"):
                continue
            names = parts if parts[0] == "pyrovae" else ("pyrovae", *parts)
            names = (*names[:-1], names[-1].removesuffix(".py"))
            out[".".join(names).removesuffix(".__init__")] = path
    return out


SOURCES = sources()


def imported(path, module):
    """Modules of the house that a file imports anywhere in it: a name of a package that is a module counts as it."""
    out = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            out |= {alias.name for alias in node.names if alias.name.split(".")[0] == "pyrovae"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            if node.module and node.module.split(".")[0] == "pyrovae":
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    out.add(full if full in SOURCES else node.module)
    return {name for name in out if name != module}


@functools.cache
def edges():
    return {module: imported(path, module) for module, path in SOURCES.items()}


def room_of(module):
    return module.split(".")[1] if "." in module else "pyrovae"


def inner():
    """Arrows between files, without the faces of the whole and of the command `python -m pyrovae`."""
    for module, targets in edges().items():
        for target in sorted(targets):
            if module not in ("pyrovae", "pyrovae.__main__"):
                yield module, target


def test_every_room_is_in_the_order():
    rooms = {room_of(module) for module in SOURCES} - {"pyrovae", "__main__"}
    assert rooms == set(LEVEL)


def test_imports_run_one_way():
    wrong = [
        f"{module} -> {target}"
        for module, target in inner()
        if room_of(target) != room_of(module)
        and (target == "pyrovae" or LEVEL[room_of(target)] >= LEVEL[room_of(module)])
        and not (target == "pyrovae" and room_of(module) == "cli")
    ]
    assert not wrong, "\n".join(wrong)


def test_a_variant_imports_no_estimator_and_no_other_variant():
    most = LEVEL["priors"]
    wrong = [
        f"{module} -> {target}"
        for module, target in inner()
        if room_of(module) == "models" and (room_of(target) in ("models", "cli") or LEVEL[room_of(target)] > most)
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_imports_the_command_line():
    assert not [module for module, target in inner() if room_of(target) == "cli" and room_of(module) != "cli"]


def test_no_circle_of_files():
    """Faces left out: what they hand on is looked up where it stands."""
    faces = {module for module, path in SOURCES.items() if path.name == "__init__.py"}
    graph = {module: targets - faces for module, targets in edges().items() if module not in faces}
    done, circles = set(), []

    def visit(module, path):
        if module in path:
            circles.append(" -> ".join([*path[path.index(module) :], module]))
        elif module not in done:
            for target in sorted(graph.get(module, ())):
                visit(target, [*path, module])
            done.add(module)

    for module in graph:
        visit(module, [])
    assert not circles, "\n".join(circles)


def test_only_the_catalogue_imports_readers():
    wrong = [
        f"{module} -> {target}"
        for module, target in inner()
        if target.startswith("pyrovae.data.readers.")
        and not module.startswith("pyrovae.data.readers")
        and module != "pyrovae.data.catalogue"
    ]
    assert not wrong, "\n".join(wrong)


def test_the_wings_of_evaluation_stand_on_its_ground():
    wrong = []
    for module, target in inner():
        source, other = module.split("."), target.split(".")
        if source[1] != "evaluation" or other[1] != "evaluation" or len(source) < 3 or len(other) < 3:
            continue
        if source[2] in WINGS:
            allowed = GROUND | {source[2]} | ({"refitting"} if source[2] == "importance" else set())
            if other[2] not in allowed:
                wrong.append(f"{module} -> {target}")
        elif source[2] in GROUND and other[2] not in GROUND:
            wrong.append(f"{module} -> {target}")
    assert not wrong, "\n".join(wrong)


WITHOUT_TORCH = (
    "errors",
    "config",
    "options",
    "estimators",
    "storage.atomic",
    "storage.headers",
    "storage.reading",
    "storage.jsonable",
    "runtime.installed",
    "registry",
    "registry.variants",
    "registry.own_code",
    "runs.directory",
    "runs.schema",
    "runs.texts",
    "runs.inspection",
    "data",
    "data.options",
    "data.field",
    "data.catalogue",
    "cli",
)


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_it_is_imported_without_torch(module):
    code = f"import sys, pyrovae.{module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_file_names_stand_once_or_for_a_reason():
    places = defaultdict(list)
    for module, path in SOURCES.items():
        if room_of(module) == "cli":
            continue  # a command has the name of what it calls
        places[path.stem].append(str(path.relative_to(ROOT)))
    twice = {name: paths for name, paths in places.items() if len(paths) > 1}
    assert not {name: paths for name, paths in twice.items() if name not in SAME_NAME}
    assert not [name for name in SAME_NAME if name not in twice]


@pytest.mark.parametrize("path", SOURCES.values(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_what_it_is_and_is_no_longer_than_300_lines(path):
    text = path.read_text(encoding="utf-8")
    doc = ast.get_docstring(ast.parse(text))
    assert doc, f"{path} has no first sentence"
    assert doc.partition("\n")[0].endswith((".", ":", "?")), f"{path}: the first line is no sentence"
    assert text.count("\n") <= 300


HELPERS = {"house", "fuzzing", "crashes", "search"}
"""Folders of `tests/` that are no room: this one, the cases of damaged files, and random pairs."""


def test_tests_lie_in_the_folder_of_the_room_that_they_test():
    tests = ROOT / "tests"
    folders = {path.name for path in tests.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))}
    assert not folders - set(LEVEL) - {"benchmarks"} - HELPERS
    assert not [path.name for path in tests.glob("test_*.py")]
    assert not [name for name in folders - {"crashes"} if not list((tests / name).glob("test_*.py"))]


TEXTS = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    ".ci/run",
    ".ci/oldest",
    *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").rglob("*.md"))),
)
"""What names files of tests."""


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_of_tests_that_a_text_names_is_there(name):
    named = set(re.findall(r"\btests/[\w/]+\.py", (ROOT / name).read_text(encoding="utf-8")))
    assert not [path for path in sorted(named) if not (ROOT / path).is_file()]
    assert named or name not in ("CONTRIBUTING.md", ".ci/oldest", "docs/measured/reliability.md")
