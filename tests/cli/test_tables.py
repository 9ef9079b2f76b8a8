"""Tables cut nothing, at any width; help and listings speak in plain words."""

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from commands import done, run

from pyrovae import registry
from pyrovae.cli import _method, cli
from pyrovae.cli._output import print_table
from pyrovae.cli._tables import length, lines_of, wrapped

KEPT = Path(__file__).parents[1] / "runs" / "kept"

NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]\d+)?")

GUIDES = ("diagonal", "iaf:steps=2:hidden=16", "z1=lowrank:rank=3,z2=householder")
HEADS = ("guide", "ELBO", "difference", "log-likelihood", "difference", "gap", "active units", "s a step")
COMPARED = [
    (
        name,
        f"-{at}03.{at}1 +- 0.1{at}",
        f"+{at}.769 +- 0.{at}42 [+0.{at}42, +0.974]",
        f"-{at}5.99 +- 2.49",
        f"-0.{at}42 +- 0.117 [-0.398, -0.{at}82]",
        f"5.{at}4",
        str(at),
        f"0.00{at}4",
    )
    for at, name in enumerate(GUIDES, 1)
]
VERDICT = (
    "is a lower bound: a few weights decide for 6 of 360 data (Pareto k above 0.57), take 5000 samples, 0.004 nats"
)
PAIRS = [("log-likelihood", VERDICT), ("by dimension", " ".join(f"{at}.25" for at in range(40))), ("seconds", "12.5")]
FILES = [("state/checkpoint.safetensors", "18,172", "ok", "2cf05a9f" * 8), ("weights.safetensors", "1,700", "ok", "")]
CHINESE = [("文字很多的一個名字", "1.5", "語言 " * 30, "2.5"), ("é", "3.25", "ascii", "4")]

TABLES = {"compared": (HEADS, COMPARED), "pairs": (("", ""), PAIRS), "files": (("file", "bytes", "", "sha256"), FILES)}
TABLES["chinese"] = (("name", "a", "b", "c"), CHINESE)


@pytest.mark.parametrize("width", [40, 60, 80, 200, None])
@pytest.mark.parametrize("name", TABLES)
def test_no_number_and_no_word_is_cut(name, width):
    heads, rows = TABLES[name]
    lines = list(lines_of(heads, rows, width))
    words = {word for line in lines for word in line.split()}
    assert words >= {word for row in rows for cell in row for word in cell.split()}
    for line in lines:
        plain = re.sub(r"\x1b\[\d*m", "", line)
        assert width is None or length(plain) <= width or len(plain.split()) == 1
        assert plain == plain.rstrip()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_cell_of_numbers_stays_on_one_line(width):
    text = "\n".join(lines_of(HEADS, COMPARED, width))
    assert all(cell in text for row in COMPARED for cell in row)


def test_a_table_that_fits_is_one_block_and_one_that_does_not_repeats_its_names():
    wide = list(lines_of(HEADS, COMPARED, 200))
    assert len(wide) == 1 + len(COMPARED)
    narrow = list(lines_of(HEADS, COMPARED, 80))
    blocks = "\n".join(narrow).split("\n\n")
    assert len(blocks) > 1
    assert all(block.count(name) == 1 for block in blocks for name in GUIDES)


def test_words_are_wrapped_at_blanks_alone():
    assert wrapped("one two-three 0.125 four", 9) == ["one", "two-three", "0.125", "four"]
    assert wrapped("one two", None) == ["one two"]


@pytest.mark.parametrize(("columns", "lines"), [("60", 2), ("80", 2), ("200", 1), ("", 1)])
def test_columns_says_how_wide_a_line_is_and_in_a_pipe_it_is_as_long_as_it_is(monkeypatch, capsys, columns, lines):
    monkeypatch.setenv("COLUMNS", columns)
    print_table(("", ""), [("a", VERDICT + " 1.5")])
    assert len(capsys.readouterr().out.splitlines()) == lines


@pytest.mark.parametrize("width", [60, 80, 200])
def test_listings_hold_the_same_numbers_at_every_width(monkeypatch, width):
    for args in (["reproduce", "--list"], ["data"]):
        monkeypatch.delenv("COLUMNS", raising=False)
        whole = sorted(NUMBER.findall(done(*args).stdout))
        monkeypatch.setenv("COLUMNS", str(width))
        result = done(*args)
        assert max(map(len, result.stdout.splitlines())) <= width
        found = sorted(NUMBER.findall(result.stdout))
        assert set(found) >= set(whole)


def test_inspect_speaks_in_plain_words(tmp_path):
    shutil.copytree(KEPT / "vector", tmp_path / "run")
    text = run("inspect", tmp_path / "run").stdout
    assert not re.search(r"True|False|None|[\[\]{}']", text.split("verdict  ")[0])
    assert re.search(r"^counts +train 48, valid 6, test 6$", text, re.MULTILINE)
    assert re.search(r"^cuda_graph +no$", text, re.MULTILINE)
    assert re.search(r"^channels +32, 64$", text, re.MULTILINE)


def test_without_a_command_the_whole_list_of_commands_is_on_stdout():
    result = run()
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == run("--help").stdout


HELPS = [
    *([name] for name in cli.files()),
    *(["fit", "--model", name] for name in registry.describe("models")),
    *(["loglik", "--method", name] for name in _method.names()),
]


@pytest.mark.parametrize("args", HELPS, ids=" ".join)
def test_help_shows_a_range_only_where_it_tells_something(args):
    text = " ".join(CliRunner().invoke(cli, [*args, "--help"], terminal_width=100).stdout.split())
    ranges = re.findall(r"[^\s\[]*x[<>]=?[^\s\]]*", text)
    assert not [each for each in ranges if re.fullmatch(r"[01]<=x|x>=[01]", each)]
    assert not [each for each in ranges if any(float(number) >= 10**6 for number in re.findall(r"[\d.]+", each))]
    assert "RANGE" not in text
