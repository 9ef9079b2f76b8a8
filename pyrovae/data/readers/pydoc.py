"""The English of Python's own documentation (`pydoc_data.topics`): a text data set that is on every machine.

The sentences are those of the running Python, so another minor version gives slightly other data; the fingerprint in
run.json tells them apart.
"""

# ruff: noqa: RUF001  typographic quotes and dashes are meant

import re

from pyrovae.data.options import DataConfig
from pyrovae.data.raw import Sentences

# Notes on versions repeat one phrase hundreds of times and would be most of what a model learns.
VERSION_NOTE = re.compile(r"(Changed|Added|New|Deprecated|Removed)\b.* (in|since) version ")
BULLET = re.compile(r"(\*|\d+\.|[IVX]+\.|-) +")
END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][’”)]))\s+(?=[\"*(]?[A-Z])")
# "name", "f(x)", "not in"; other code keeps its quotes, and so its sentence is left out.
CODE = re.compile(r'"([\w.]+(?:\([\w., ]*\))?(?: \w+)*)"')
EMPHASIS = re.compile(r"\*(\w[^*]*)\*(?!\w)")
# What is left of code, grammar and tables holds signs that no sentence of English does.
PROSE = re.compile(r"[A-Z][A-Za-z0-9_ ,;:'’‘“”()./–—-]*[.!?][’”]?")
WORDS = range(4, 51)


def load(config: DataConfig) -> Sentences:
    """About 1,500 sentences in lower case, each once, without a split of their own."""
    from pydoc_data.topics import topics

    found = (sentence for name in sorted(topics) for sentence in sentences(topics[name]))
    return Sentences({"train": list(dict.fromkeys(found))})


def sentences(page: str) -> list[str]:
    """The sentences of prose on a page; code, grammar, tables, headings and cross-references are left out."""
    found = []
    for paragraph in re.split(r"\n\s*\n", page):
        text = " ".join(BULLET.sub("", line.strip(), count=1) for line in paragraph.strip().splitlines())
        if "::=" in text or VERSION_NOTE.match(text):
            continue
        text = text.replace(" -- ", " – ")
        for sentence in END.split(text):
            sentence = EMPHASIS.sub(r"\1", CODE.sub(r"\1", sentence))
            if PROSE.fullmatch(sentence) and len(sentence.split()) in WORDS and not sentence.startswith("See "):
                found.append(sentence.lower())
    return found
