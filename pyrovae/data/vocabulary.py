"""Sentences <-> token ids: words, byte-level pieces of words, or characters."""

# ruff: noqa: RUF001  typographic quotes and dashes are meant

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

from pyrovae.errors import PyrovaeError, UsageError, option

PAD, BOS, EOS, UNK = range(4)
SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")

# A word keeps inner apostrophes, hyphens and dots (don't, well-known, os.path); a clitic split off by an earlier
# tokenizer ('s) stays one token; any other sign stands alone.
WORD = r"<unk>|\w+(?:['’.\-]\w+)*|['’](?:s|re|ve|ll|d|m|t)\b|[^\w\s]"
CHARACTER = r"[\s\S]"  # one code point: a dot leaves out ends of lines
TAILS = ("s", "re", "ve", "ll", "d", "m", "t")
CLITICS = frozenset(mark + tail for mark in "'’" for tail in TAILS) | {"n't", "n’t"}
NO_SPACE_BEFORE = frozenset(".,;:!?)]}%’”…") | CLITICS
NO_SPACE_AFTER = frozenset("([{$“‘")


Kind = Literal["word", "subword", "char"]


class Vocabulary:
    """A tokenizer whose first ids are pad 0, bos 1, eos 2 and unk 3.

    `tokenizer` is a HuggingFace Tokenizer; make one with `train` or `from_json`.
    """

    pad, bos, eos, unk = PAD, BOS, EOS, UNK

    def __init__(self, tokenizer: Tokenizer) -> None:
        ids = [tokenizer.token_to_id(token) for token in SPECIAL]
        if ids != [PAD, BOS, EOS, UNK]:
            raise PyrovaeError(f"a vocabulary gives {', '.join(SPECIAL)} the ids {ids}: they must be 0, 1, 2, 3")
        # Else a line of the data that spells "<eos>" would end there.
        tokenizer.encode_special_tokens = True
        self.tokenizer = tokenizer

    @classmethod
    def train(cls, sentences: Iterable[str], kind: Kind, size: int, min_count: int = 1) -> Vocabulary:
        """The at most `size` most frequent tokens (ties by spelling) that occur `min_count` times or more.

        Args:
            sentences: what to count.
            kind: `word` splits words and punctuation and keeps the case; `subword` is byte-level BPE (Sennrich et al.,
                2016), which knows every string and needs a `size` of at least 260; `char` is every code point of the
                text in normal form C, blanks among them: what is decoded is what was encoded, in that form, where all
                its characters are known.
            size: with the four special tokens.
            min_count: of a word, or of a pair of pieces that is merged.
        """
        if kind == "subword":
            return cls(_bytes(sentences, size, min_count))
        normalizer = normalizers.NFC()
        if kind == "char":
            split = pre_tokenizers.Split(Regex(CHARACTER), behavior="isolated")
            counts = Counter(char for sentence in sentences for char in normalizer.normalize_str(sentence))
        else:
            split = pre_tokenizers.Split(Regex(WORD), behavior="removed", invert=True)
            counts = Counter(
                word for sentence in sentences for word, _ in split.pre_tokenize_str(normalizer.normalize_str(sentence))
            )
            counts.pop("<unk>", None)
        ranked = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))
        if not ranked:
            what = "character" if kind == "char" else "word"
            raise PyrovaeError(
                f"no {what} occurs {option('min_count', min_count)} times in the training text: lower it"
            )
        words = [*SPECIAL, *ranked[: size - len(SPECIAL)]]
        tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
        tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, split
        if kind == "char":
            tokenizer.decoder = decoders.Fuse()
        return cls(tokenizer)

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def ids(self, sentence: str) -> list[int]:
        """The tokens of one sentence, without <eos>."""
        return self.tokenizer.encode(sentence, add_special_tokens=False).ids

    def encode(self, sentences: Iterable[str], length: int | None = None) -> Tensor:
        """Sentences -> int64 `(N, length)`: the tokens, <eos>, then <pad>; `length` None fits the longest."""
        return pad([self.ids(sentence) for sentence in sentences], length)

    def decode(self, ids: Tensor) -> list[str]:
        """int64 `(N, T)` -> what stands before the first <eos> of each row, with <pad> and <bos> left out."""
        rows = ([int(i) for i in row] for row in ids)
        return [self._text([i for i in row[: row.index(EOS) if EOS in row else None] if i > BOS]) for row in rows]

    def _text(self, ids: list[int]) -> str:
        if isinstance(self.tokenizer.decoder, decoders.ByteLevel):
            return self.tokenizer.decode(ids, skip_special_tokens=False).strip()
        if self.tokenizer.decoder is not None:
            return self.tokenizer.decode(ids, skip_special_tokens=False)
        return join(self.tokenizer.id_to_token(i) or SPECIAL[UNK] for i in ids)

    def to_json(self) -> str:
        """Everything, as one JSON string."""
        return self.tokenizer.to_str()

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """The inverse of `to_json`."""
        try:
            json.loads(text)
            return cls(Tokenizer.from_str(text))
        except PyrovaeError:
            raise
        except Exception as error:  # tokenizers raises bare Exception
            raise PyrovaeError(f"this is no vocabulary: {error}") from None


def pad(rows: list[list[int]], length: int | None = None) -> Tensor:
    """Token ids of each sentence -> int64 `(N, length)`, with <eos> after each and <pad> behind it."""
    longest = max((len(row) + 1 for row in rows), default=1)
    length = longest if length is None else length
    if longest > length:
        raise UsageError(f"a sentence has {longest} tokens with <eos>, and length = {length}: raise it")
    ids = torch.full((len(rows), length), PAD, dtype=torch.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row) + 1] = torch.tensor([*row, EOS])
    return ids


def join(words: Iterable[str]) -> str:
    """Words and punctuation -> one readable line; straight quotes open and close in turn."""
    text, glue, open_quote = "", True, False
    for word in words:
        closes = word == '"' and open_quote
        text += word if glue or closes or word in NO_SPACE_BEFORE else f" {word}"
        if word == '"':
            open_quote = not open_quote
        glue = word in NO_SPACE_AFTER or (word == '"' and open_quote)
    return text


def _bytes(sentences: Iterable[str], size: int, min_count: int) -> Tokenizer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    least = len(SPECIAL) + len(alphabet)
    if size < least:
        asked = option("vocab_size", size)
        raise UsageError(f"{asked} has no room for every byte, as subwords need: give {least} or more")
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_count,
        special_tokens=list(SPECIAL),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_bearable(sentences), trainer)
    return tokenizer


def _bearable(sentences: Iterable[str], longest: int = 1000) -> Iterator[str]:
    """The sentences, in pieces where they hold a longer word: each merge goes through all of a word that has it."""
    for sentence in sentences:
        if max(map(len, sentence.split()), default=0) <= longest:
            yield sentence
        else:
            yield from (sentence[start : start + longest] for start in range(0, len(sentence), longest))
