"""README.md and the pages of docs/, read as a reader does: files to save, commands to type, what these print.

A page is written so:

- a block of `bash` holds commands, each of which is run, in order, in one folder a page;
- a block of `python` or `toml` that the line above ends on a name, "Save this as `my_model.py`:", is that file; other
  blocks of `python` are run, in one namespace a page;
- a block of `text` under either, before the next heading, is what they print. `...` in a line of its own stands for any
  lines; the other lines are compared word by word, and their numbers about;
- a comment `<!-- not run: why -->` above a block says that it is only looked at: every command and option must exist;
- a comment `<!-- PATH -->` behind a picture names the file of the page's folder that it was copied from.

`.ci/pages --record PAGE` writes what is printed, and the pictures, into a page.
"""

import contextlib
import io
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner

from pyrovae.cli import cli

ROOT = Path(__file__).parents[1]

PARTS = re.compile(r"^```(\w*)\n(.*?)^```$|^#+ [^\n]*$", flags=re.DOTALL | re.MULTILINE)

SAVED = re.compile(r"`([\w-]+\.(?:py|toml))`:$")

NOT_RUN = re.compile(r"<!-- not run: .+ -->$")

PICTURE = re.compile(r"!\[[^\]]+\]\(([\w/.-]*images/[\w.-]+)\)<!-- (\S+) -->")

SET_UP = re.compile(r"python3? -m (pip|venv|pytest)\b|source |cd |git clone ")
"""Lines that make the environment in which the page is read: no test runs them, `.ci/run` does."""

MODULE = re.compile(r"python -m ((?:benchmarks|tests)\.[\w.]+)")

NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?!\w)")

PROGRESS = re.compile(r"^[\w -]+ \d+/\d+  .*\n", flags=re.MULTILINE)
"""Where there is no terminal; on one it is a bar that goes."""

WIDTH = "110"
"""Of the terminal of a reader, in columns."""

FREE = ("seconds", "best epoch", "run directory", "fit:")
"""Lines of a summary that differ from machine to machine, or with the folder."""


@dataclass
class Block:
    """A block of a page.

    Attributes:
        language: `bash`, `python`, `toml`, `text` or none.
        text: what is inside.
        saved: name of the file that it is, or None.
        run: whether it is run.
        printed: the block of `text` that shows what it prints, or None.
        span: where `text` stands in the page.
    """

    language: str
    text: str
    saved: str | None
    run: bool
    span: tuple[int, int]
    printed: "Block | None" = None


@dataclass
class Page:
    """A page and the blocks of it that are files or are run, or would be if they could."""

    path: Path
    text: str = field(init=False)

    def __post_init__(self) -> None:
        self.text = self.path.read_text(encoding="utf-8")

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def blocks(self) -> list[Block]:
        blocks: list[Block] = []
        last: Block | None = None
        for part in PARTS.finditer(self.text):
            if part[2] is None:  # a heading
                last = None
                continue
            above = self.text[: part.start()].rstrip().rpartition("\n")[2]
            saved = SAVED.search(above)
            named = saved[1] if saved and part[1] in ("python", "toml") else None
            block = Block(part[1], part[2], named, not NOT_RUN.search(above), part.span(2))
            if block.language in ("bash", "python", "toml"):
                blocks.append(block)
                last = block if block.run and not named else None
            elif block.language == "text" and last is not None:
                last.printed, last = block, None
        return blocks

    @property
    def pictures(self) -> list[tuple[Path, str]]:
        """Pictures of the page that its commands draw: the file of the page, and its path in the folder of the page."""
        return [(self.path.parent / kept, made) for kept, made in PICTURE.findall(self.text)]


def pages() -> list[Page]:
    """README.md and all of docs/."""
    return [Page(path) for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))]


def commands(block: Block) -> list[str]:
    """The commands of a block of `bash`, one a line, those behind `&&` apart."""
    text = block.text.replace("\\\n", " ")
    lines = [line.partition("  #")[0].strip() for line in text.splitlines() if not line.startswith("#")]
    return [part.strip() for line in lines for part in line.split("&&") if part.strip()]


def play(page: Page) -> Iterator[tuple[Block, str]]:
    """Does in the working directory what a page says; gives each block that is run with what it printed.

    Raises AssertionError where a command fails that the page does not show failing, with a line `Error: ...`.
    """
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in page.blocks:
        if block.saved is not None:
            Path(block.saved).write_text(block.text, encoding="utf-8")
        elif block.language == "python" and block.run:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(block.text, f"<{page.name}>", "exec"), namespace)
            yield block, printed.getvalue()
        elif block.language == "bash" and block.run:
            fails = block.printed is not None and re.search("^Error: ", block.printed.text, flags=re.MULTILINE)
            printed_by = [typed(line, bool(fails)) for line in commands(block) if not SET_UP.match(line)]
            if printed_by:
                yield block, "".join(printed_by)


def typed(line: str, fails: bool = False) -> str:
    """What a command prints, on stdout and stderr; `fails` where it, or one of its block, is to end with an error."""
    program, *words = shlex.split(line)
    if program == "pyrovae":
        result = CliRunner(env={"COLUMNS": WIDTH}).invoke(cli, words, prog_name="pyrovae")
        assert result.exit_code == 0 or (fails and "Error: " in result.output), f"{line}\n{result.output}"
        return PROGRESS.sub("", result.output)
    assert program == "python", f"{line}: a page runs pyrovae, or python with a file that it has saved"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        before, sys.argv = sys.argv, words
        try:
            runpy.run_path(words[0], run_name="__main__")
        finally:
            sys.argv = before
    return printed.getvalue()


def difference(shown: str, printed: str) -> str | None:
    """What of a block of `text` is not so in what was printed; None where all is."""
    words = [word for line in printed.splitlines() if not line.startswith(FREE) for word in line.split()]
    at = 0
    for part in re.split(r"^\s*\.\.\.$", shown, flags=re.MULTILINE):
        lines = [line for line in part.splitlines() if not line.startswith(FREE)]
        wanted = [word for line in lines for word in line.split()]
        while not all(map(same, wanted, words[at:])) or len(words) - at < len(wanted):
            at += 1
            if len(words) - at < len(wanted):
                return " ".join(wanted)
        at += len(wanted)
    return None


def same(shown: str, printed: str) -> bool:
    """Whether two words are equal but for their numbers, and these about: other processors and versions of torch train
    to other last bits, and a fit carries them far."""
    if NUMBER.sub("0", ruled(shown)) != NUMBER.sub("0", ruled(printed)):
        return False
    return all(map(about, NUMBER.findall(shown), NUMBER.findall(printed)))


def ruled(word: str) -> str:
    """A rule of a table, of any length, as one stroke."""
    return re.sub("([─━═-])\\1+", "\\1", word)


def about(shown: str, printed: str) -> bool:
    """Whether two numbers are about the same: 3 %, and 5 in the last place; whole numbers, which count, 60 % and 5, but
    none is none."""
    a, b = float(shown.replace(",", "")), float(printed.replace(",", ""))
    if a.is_integer() and b.is_integer() and 0 in (a, b):
        return a == b
    mantissa, _, exponent = shown.partition("e")
    decimals = len(mantissa.partition(".")[2])
    share, places = (0.03, 5 * 10.0 ** (int(exponent or 0) - decimals)) if decimals else (0.6, 5.0)
    return abs(a - b) <= share * abs(a) + places


def unknown(line: str) -> str | None:
    """What is wrong with a command that is not run: a module, a command or an option that does not exist; else None."""
    if match := MODULE.match(line):
        files = [ROOT / f"{match[1].replace('.', '/')}{end}" for end in (".py", "/__main__.py")]
        room = "".join(
            path.read_text(encoding="utf-8")
            for file in files
            if file.is_file()
            for path in [file, *file.parent.glob("_*.py")]
        )
        options = re.findall(r"(?<!\S)--[a-z][\w-]*", line)
        return match[1] if not room else next((option for option in options if f'"{option}' not in room), None)
    words = re.sub("--(freeze-model|config) \\S+", "", line.rpartition("pyrovae ")[2])
    if "pyrovae " not in line or SET_UP.match(line):
        return None
    # Help comes first of all options, but only where each is one of the command.
    result = CliRunner().invoke(cli, [*shlex.split(words), "--help"], prog_name="pyrovae")
    return None if result.exit_code == 0 else result.output
