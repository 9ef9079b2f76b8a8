"""README.md and docs/: what they say is run, links lead somewhere, what is printed from the code is as the code is."""

import pytest
from pages import Page, commands, difference, pages, play, unknown
from PIL import Image

PAGES = pages()


def by_name(page: Page) -> str:
    return page.name


RUN = [page for page in PAGES if page.name != "README.md" and any(block.run for block in page.blocks)]


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
