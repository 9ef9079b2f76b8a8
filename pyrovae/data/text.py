"""From sentences to padded token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from pyrovae.data.cut import cut
from pyrovae.data.dataset import SPLITS, Columns, Dataset, Split
from pyrovae.data.describe import describe
from pyrovae.data.field import Field
from pyrovae.data.limits import require_memory
from pyrovae.data.options import DataConfig
from pyrovae.data.raw import Sentences
from pyrovae.data.transforms import Trim
from pyrovae.data.vocabulary import UNK, Vocabulary, pad
from pyrovae.errors import PyrovaeError, UsageError, option

Ids: TypeAlias = Sequence[Sequence[int]]
"""Tokens of the sentences of a split."""

FEW_WORDS = 1.5
"""Parts between blanks in a sentence, on average, up to which words are not what its text is made of."""

BYTES_A_CHARACTER = 1024
"""Of a sentence while it is tokenized, at most; 400 of words and 820 of subwords of Chinese were measured."""


def prepare_text(data: Sentences, name: str, config: DataConfig) -> Dataset:
    """One field x of kind `tokens`, with a vocabulary that is built from train alone.

    Blank lines are left out. A training sentence of more than `max_length` tokens is dropped; valid and test keep
    every sentence whole, so that a score is about all of them; nothing is cut short. Each split is stored as wide as
    its longest sentence, the shape of the field is the widest of them, and a batch is as wide as its own longest.
    """
    _refuse_of_images(name, config)
    lines = {split: [line for line in all_lines if line.strip()] for split, all_lines in data.splits.items()}
    blank = {split: len(data.splits[split]) - len(lines[split]) for split in lines}
    _require_sentences(lines, blank, name)
    rows = cut({split: len(sentences) for split, sentences in lines.items()}, config, name)
    splits: dict[Split, list[str]] = {}
    for split, (origin, index) in rows.items():
        sentences = lines[origin]
        splits[split] = [sentences[i] for i in index.tolist()] if isinstance(index, Tensor) else sentences[index]
    vocabulary = Vocabulary.train(splits["train"], config.vocab, config.vocab_size, config.min_count)
    ids = {split: [vocabulary.ids(line) for line in sentences] for split, sentences in splits.items()}
    all_train = len(ids["train"])
    ids["train"] = [row for row in ids["train"] if len(row) < config.max_length]
    too_long = all_train - len(ids["train"])
    unknown = {split: sum(all(token == UNK for token in row) for row in ids[split]) for split in SPLITS}
    _require_words(ids, unknown, name, config)
    columns: dict[Split, Columns] = {split: {"x": pad(ids[split])} for split in SPLITS}
    longest = max(columns[split]["x"].shape[1] for split in SPLITS)
    tokens = {split: sum(len(row) + 1 for row in ids[split]) for split in SPLITS}
    description: dict[str, Any] = {
        **describe(name, columns, config),
        "binarize": "none",
        "vocabulary": {"kind": config.vocab, "size": len(vocabulary), "min_count": config.min_count},
        "max_length": config.max_length,
        "tokens": tokens,
        "unknown_share": {split: sum(row.count(UNK) for row in ids[split]) / tokens[split] for split in SPLITS},
        "dropped": {"blank": blank, "too_long": too_long},
        "unknown_only": unknown,
        "notes": [*_notes(too_long, unknown, config), *_unparted(splits["train"], config)],
    }
    field = Field(
        shape=(longest,),
        kind="tokens",
        size=len(vocabulary),
        pad=vocabulary.pad,
        bos=vocabulary.bos,
        eos=vocabulary.eos,
        unk=vocabulary.unk,
    )
    return Dataset(
        name=name,
        fields={"x": field},
        columns=columns,
        transforms=(Trim("x", vocabulary.pad),),
        seed=config.data_seed,
        description=description,
        vocabulary=vocabulary,
    )


def _refuse_of_images(name: str, config: DataConfig) -> None:
    """Raises UsageError for options that are of images."""
    if config.binarize not in ("auto", "none"):
        raise UsageError(f"{option('binarize', config.binarize)}: data '{name}' is text: leave the option out")
    if config.image_size is not None:
        raise UsageError(f"{option('image_size', config.image_size)}: data '{name}' is text: leave the option out")


def _require_sentences(lines: Mapping[Split, list[str]], blank: Mapping[Split, int], name: str) -> None:
    """Raises PyrovaeError for a split without a sentence, or with one that there is no memory to tokenize: that library
    ends the process where memory ends."""
    for split in lines:
        if not lines[split]:
            raise PyrovaeError(f"data '{name}': {split} holds no sentence, {blank[split]} blank lines: give other text")
    for split, sentences in lines.items():
        longest = max(map(len, sentences))
        what = f"data '{name}': {split}, where the longest sentence has {longest:,} characters,"
        require_memory(BYTES_A_CHARACTER * longest, what)


def _require_words(ids: Mapping[Split, Ids], unknown: Mapping[Split, int], name: str, config: DataConfig) -> None:
    """Raises PyrovaeError for a split of which nothing can be learned, or that is too wide for the memory."""
    if not ids["train"]:
        least = option("max_length", config.max_length)
        raise UsageError(f"{least} is less than every training sentence of '{name}': raise it")
    for split in SPLITS:
        if unknown[split] == len(ids[split]):
            raise PyrovaeError(f"data '{name}': {split} holds no word of the vocabulary: lower {option('min_count')}")
    for split in SPLITS:  # one line without an end is as wide as a book, and so is every row of its split
        longest = 1 + max(len(row) for row in ids[split])
        what = f"data '{name}': {split}, where the longest sentence has {longest:,} tokens,"
        require_memory(8 * len(ids[split]) * longest, what)


def _notes(too_long: int, unknown: Mapping[Split, int], config: DataConfig) -> list[str]:
    """What a person should know of the sentences."""
    limit = option("max_length")
    dropped = f"training sentences of over {config.max_length} tokens, dropped: {too_long} ({limit})"
    only = [
        f"sentences of {split} that hold unknown words only: {unknown[split]}" for split in SPLITS if unknown[split]
    ]
    return [dropped, *only] if too_long else only


def _unparted(sentences: Sequence[str], config: DataConfig) -> list[str]:
    """That text without blanks (Chinese, SMILES) is not made of words: a sentence is one token, or is cut at its
    signs and gets blanks when it is shown."""
    parts = sum(len(sentence.split()) for sentence in sentences) / len(sentences)
    if config.vocab != "word" or parts > FEW_WORDS:
        return []
    characters = sum(map(len, sentences)) / len(sentences)
    told = f"a sentence has {parts:.1f} words between blanks and {characters:.1f} characters on average"
    cure = f"{option('vocab', 'char')} reads the characters one by one, and gives them back as they were"
    return [f"{told}, and a token is a word: {cure}"]
