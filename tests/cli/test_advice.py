"""What messages advise can be typed: each option they name is one of the command that prints them, or is written with
the command that has it, and each value they name is one of its values."""

import ast
import functools
import re
import shlex
from pathlib import Path

import click
import pytest

from pyrovae import registry
from pyrovae.cli import _method, cli
from pyrovae.cli._fits import configs
from pyrovae.cli._options import options_of
from pyrovae.options import TrainConfig

ROOT = Path(__file__).parents[2]

FITS = ("fit", "compare")
RUNS = ("loglik", "gap", "evaluate")

PRINTED_BY = {  # of a file, or of a room: the commands whose users read its messages; the longest name counts
    "pyrovae/data": FITS,
    "pyrovae/data/dataset.py": ("loglik", "evaluate", "gap"),
    "pyrovae/data/new.py": ("loglik", "evaluate", "gap", "encode"),
    "pyrovae/nets": FITS,
    "pyrovae/options.py": FITS,
    "pyrovae/registry": FITS,
    "pyrovae/priors": FITS,
    "pyrovae/guides": FITS,
    "pyrovae/objectives": FITS,
    "pyrovae/likelihoods": FITS,
    "pyrovae/svi": FITS,
    "pyrovae/training": FITS,
    "pyrovae/training/resuming.py": ("fit",),
    "pyrovae/comparison": ("compare",),
    "pyrovae/reproduction": ("reproduce",),
    "pyrovae/generation/decoding.py": ("sample", "reconstruct", "interpolate"),
    "pyrovae/runs/pictures.py": ("sample", "reconstruct", "interpolate"),
    "pyrovae/runs/paired.py": ("evaluate",),
    "pyrovae/runs/claim.py": FITS,
    "pyrovae/runs/loading.py": RUNS,
    "pyrovae/runs/inspection.py": RUNS,
    "pyrovae/runs/data.py": RUNS,
    "pyrovae/runtime/devices.py": (*FITS, *RUNS),
    "pyrovae/pairs/parameters.py": FITS,
    "pyrovae/evaluation/importance/estimate.py": ("loglik",),
    "pyrovae/evaluation/importance/proposals.py": ("loglik",),
    "pyrovae/evaluation/gap.py": ("gap", "compare"),
    "pyrovae/evaluation": (*RUNS, *FITS),
    "pyrovae/pairs": (*RUNS, *FITS),
    "pyrovae/runtime": (*RUNS, *FITS),
    "pyrovae/testing": ("check",),
    "models": FITS,
}

BOTH = {"pyrovae/runs/paired.py", "pyrovae/data/dataset.py"}
"""Files whose sentences name a command in words."""

IN_WORDS = re.compile(r"\b(fit|fitted) both\b|\bor fit with\b|same data options|take other data with")


@functools.cache
def options(command):
    """Name in Python -> options of a command, those of every model and estimator among them."""
    found = {}
    own = cli.get_command(click.Context(cli), command)
    every = [*own.params]
    if command in ("fit", "compare", "check"):
        for model in registry.describe("models"):
            every += [each for config in configs(model).values() for each in options_of(config)]
    if command == "loglik":
        every += [each for name in _method.names() for each in _method.find(name).options()]
    for each in every:
        found.setdefault(each.name, []).append(each)
    return found


def flags(command):
    return {flag for each in options(command).values() for one in each for flag in (*one.opts, *one.secondary_opts)}


def commands():
    return cli.list_commands(click.Context(cli))


def takes(command, name, value):
    """Whether a command has an option, and that takes a value."""
    if name not in options(command):
        return False
    if value is None or isinstance(value, bool):
        return True
    if name in ("objective", "likelihood", "prior", "guide", "model"):
        kind = {"likelihood": "likelihoods"}.get(name, f"{name}s")
        return value in registry.describe(kind)
    context = click.Context(click.Command(command))
    for each in options(command)[name]:
        try:
            each.type.convert(str(value), each, context)
        except click.UsageError:
            continue
        return True
    return False


def printed_by(path):
    known = [name for name in PRINTED_BY if path == name or path.startswith(f"{name}/")]
    assert known, f"{path} has advice: say which commands print it"
    return PRINTED_BY[max(known, key=len)]


def advised():
    """Each call of `option` in the library, with its file, the words of its sentence, and what is named."""
    for room in ("pyrovae", "models"):
        for path in sorted((ROOT / room).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if name == "pyrovae/errors.py" or name.startswith(("pyrovae/cli/", "pyrovae/models/")):
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            sentence = {
                id(node): "".join(str(part.value) for part in ast.walk(text) if isinstance(part, ast.Constant))
                for text in ast.walk(tree)
                if isinstance(text, ast.JoinedStr)
                for node in ast.walk(text)
            }
            for node in ast.walk(tree):
                if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "option" and node.args):
                    continue
                words = [each.value if isinstance(each, ast.Constant) else None for each in node.args]
                command = [each.value.value for each in node.keywords if each.arg == "command"]
                yield name, node.lineno, sentence.get(id(node), ""), words, command[0] if command else None


ADVISED = list(advised())


def test_each_option_that_a_message_names_is_one_of_its_command():
    wrong = []
    for path, line, sentence, (name, *values), command in ADVISED:
        if name is None:  # one of several names; those with a command are below
            continue
        value = values[0] if values else None
        homes = [command] if command else ["fit"] if IN_WORDS.search(sentence) else printed_by(path)
        wrong += [(path, line, name, value, home) for home in homes if not takes(home, name, value)]
    assert wrong == []
    assert len(ADVISED) > 80


def test_names_that_stand_in_a_list_are_options_of_fit():
    for name in ("beta", "kl_warmup", "free_bits", "free_nats", "epochs", "latent_dim", "hidden", "channels", "widths"):
        assert takes("fit", name, None)
    for name, value in (
        ("likelihood", "normal"),
        ("binarize", "dynamic"),
        ("proposal", "widened"),
        ("proposal", "refit"),
    ):
        assert takes("loglik" if name == "proposal" else "fit", name, value)
    assert "beta" in TrainConfig.model_fields


OWNERS = {  # files of the command line that several commands share
    "_fits": FITS,
    "_generated": ("sample",),
    "_method": ("loglik",),
    "_method_command": ("loglik",),
    "_model_command": FITS,
    "_grouped_command": FITS,
    "_runs": (*RUNS, "sample"),
    "_trust": RUNS,
    "_options": FITS,
}

EVERYWHERE = {"--help", "--debug", "--version", "--name"}  # the last stands for any option

FLAG = re.compile(r"(?<![\w-])--[a-z](?:[a-z-]*[a-z])?(?![\w-])")


def named(command, text):
    """The options of a text, each with the command it is written with, else that which prints it."""
    for i, part in enumerate(text.split("`")):
        words = part.removeprefix("pyrovae ").split() if i % 2 else re.findall(r"pyrovae ([a-z]+)", part)
        written = words[0] if words and words[0] in commands() else command
        for flag in FLAG.findall(part):
            yield written, flag


@pytest.mark.parametrize("path", sorted((ROOT / "cli").rglob("*.py")), ids=lambda path: path.stem)
def test_each_option_in_the_texts_of_a_command_is_one_of_a_command_that_it_names(path):
    alone = commands() if path.stem.startswith("_") else (path.stem,)
    owners = ("loglik",) if path.parent.name == "_methods" else OWNERS.get(path.stem, alone)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        for command, flag in named("", node.value):
            known = set().union(*(flags(each) for each in ([command] if command else owners) if each in commands()))
            assert flag in known | EVERYWHERE, f"{path.name}:{node.lineno}: {command or owners} has no {flag}"


def test_every_example_is_one_command_with_options_that_it_has():
    seen = 0
    for name in commands():
        epilog = cli.get_command(click.Context(cli), name).epilog or ""
        for line in re.findall(r"^  pyrovae (.+)$", epilog, re.MULTILINE):
            command, *words = shlex.split(line)
            seen += 1
            assert {word for word in words if word.startswith("--")} <= flags(command) | {"--help"}, line
    assert seen > 20


@pytest.mark.parametrize(
    ("command", "name", "value", "right"),
    [
        ("gap", "proposal", "refit", False),
        ("loglik", "proposal", "refit", True),
        ("loglik", "proposal", "narrowed", False),
        ("loglik", "method", "ais", True),
        ("loglik", "method", "harmonic", False),
        ("gap", "ais_steps", 0, True),
        ("evaluate", "beta", None, False),
        ("fit", "likelihood", "norm", False),
    ],
)
def test_the_law_can_fail(command, name, value, right):
    assert takes(command, name, value) is right
