"""README.md and docs/: what they say is run, links lead somewhere, what is printed from the code is as the code is."""

import re
import runpy
import shlex

import pytest
from pages import ROOT, Page, commands, difference, pages, play, unknown
from PIL import Image

from pyrovae.cli import cli

PAGES = pages()


def by_name(page: Page) -> str:
    return page.name


RUN = [page for page in PAGES if page.name != "docs/index.md" and any(block.run for block in page.blocks)]
"""The front page is README.md, printed."""


@pytest.mark.drawn
@pytest.mark.parametrize("page", RUN, ids=by_name)
def test_a_page_is_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block, printed in play(page):
        if block.printed is not None:
            missing = difference(block.printed.text, printed)
            assert missing is None, f"{block.text}\nprints no\n{missing}\nbut\n{printed}"
    for kept, made in page.pictures:
        with Image.open(kept) as shown, Image.open(tmp_path / made) as drawn:
            assert shown.size == drawn.size, f"{made} is drawn otherwise now: .ci/pages --record {page.name}"


SHOWN = [
    (page.name, line)
    for page in PAGES
    for block in page.blocks
    if block.language == "bash" and not block.run
    for line in commands(block)
]


@pytest.mark.parametrize(("page", "line"), SHOWN, ids=[f"{page}-{at}" for at, (page, _) in enumerate(SHOWN)])
def test_what_is_only_looked_at_exists(page, line):
    assert unknown(line) is None


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("pyrovae fit --model vae --hiden 3", "--hiden"),
        ("pyrovae fit --model cvae --prior flow --nolist", "--nolist"),
        ("pyrovae scores runs/a", "scores"),
        ("torchrun --nproc-per-node 2 -m pyrovae loglik RUN --sample-size 3", "--sample-size"),
        ("python -m benchmarks.nothing", "benchmarks.nothing"),
        ("python -m benchmarks.step --blokcs 3", "--blokcs"),
        ("pyrovae fit --model textvae --word-dropout 0.5 --epochs 3", None),
        ("pyrovae loglik RUN --method ais --chains 3", None),
    ],
)
def test_what_does_not_exist_is_seen(line, wrong):
    found = unknown(line)
    assert (found is None) if wrong is None else (wrong in found)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("test ELBO -20.68 nats", "test ELBO       -20.70 nats", True),
        ("test ELBO -20.68 nats", "test ELBO -25.1 nats", False),
        ("test ELBO -20.68 nats", "test ELBO 20.68 nats", False),
        ("test ELBO -20.68 nats", "train ELBO -20.68 nats", False),
        ("of 360 data", "about\nof 401 data\nseconds 3", True),
        ("of 360 data", "of 1 data", False),
        ("16 laws hold, 0 broken", "15 laws hold, 1 broken", False),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a\n...\nd", "a\nb\nc", False),
        ("a\nd", "a\nb\nd", False),
        ("seconds 3.1 training\na", "seconds 9 training and more\na", True),
        ("────── a", "── a", True),
        ("1.2e-3", "1.2e-1", False),
        ("1.2e-3", "1.5e-3", True),
        ("", "anything", True),
    ],
)
def test_what_is_shown_is_compared(shown, printed, same):
    assert (difference(shown, printed) is None) == same


def test_every_command_is_run():
    lines = [line for page in RUN for block in page.blocks if block.language == "bash" for line in commands(block)]
    assert {shlex.split(line)[1] for line in lines if re.match(r"pyrovae [a-z]", line)} == set(cli.files())


def test_the_set_up_is_two_lines():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\npython -m pip install -e . && pyrovae fit --model cvae\n" in text
    assert "\npython -m pip install -e '.[test]' && python -m pytest\n" in text


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_what_is_read_first_is_short(name):
    assert len((ROOT / name).read_bytes()) <= 8000


@pytest.fixture(scope="module")
def filled():
    """The printer of .ci/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / ".ci"))
        yield runpy.run_path(str(ROOT / ".ci" / "printed.py"))["filled"]


TEXTS = [*PAGES, *(Page(ROOT / name) for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"))]


@pytest.mark.parametrize("page", TEXTS, ids=by_name)
def test_what_is_printed_is_as_the_code_is(page, filled):
    assert filled(page.text) == page.text, "run .ci/pages"


FENCED = re.compile(r"^```.*?^```$", flags=re.DOTALL | re.MULTILINE)


def anchors(text):
    """Of the headings of a page, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS, ids=by_name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]+`", "", FENCED.sub("", page.text))):
        file, _, anchor = link.partition("#")
        if re.match(r"https?:", file):  # a source
            continue
        target = (page.path.parent / file).resolve() if file else page.path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link
        if page.name.startswith("docs/"):
            assert target.is_relative_to(ROOT / "docs"), f"{link} is not on the site"


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_a_list_in_a_list_is_set_in_by_four(page):
    """GitHub takes two, and the site makes one list of both."""
    assert not re.findall(r"^ {1,3}[-*] .*$", FENCED.sub("", page.text), flags=re.MULTILINE)


def test_the_site_leads_to_every_page():
    listed = re.findall(r"[\w/.-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2])
    pages = {page.name.removeprefix("docs/") for page in PAGES if page.name.startswith("docs/")}
    assert sorted(listed) == sorted(name for name in pages if not re.match(r"decisions/\d", name))


def test_pictures_are_those_of_a_page():
    shown = {
        (page.path.parent / name).resolve() for page in PAGES for name in re.findall(r"\]\(([^)\s]+\.png)\)", page.text)
    }
    assert {path.resolve() for path in (ROOT / "docs").rglob("*.png")} == shown
