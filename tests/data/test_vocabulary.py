"""Sentences to ids and back."""

import unicodedata

import pytest
import torch

from pyrovae.data.vocabulary import BOS, EOS, PAD, UNK, Vocabulary, join, pad
from pyrovae.errors import PyrovaeError, UsageError

TEXT = ["the cat sat on the mat.", "the dog didn't sit, did it?", 'he said "the cat sat" (twice).'] * 3


@pytest.fixture(scope="module", params=["word", "subword", "char"])
def vocabulary(request):
    return Vocabulary.train(TEXT, request.param, 300)


def test_round_trip_is_readable(vocabulary):
    assert vocabulary.decode(vocabulary.encode(TEXT)) == TEXT


def test_json_round_trip_gives_the_same_ids(vocabulary):
    again = Vocabulary.from_json(vocabulary.to_json())
    assert len(again) == len(vocabulary)
    odd = ["the <eos> zebra, <pad>", "cat"]
    assert torch.equal(again.encode(odd), vocabulary.encode(odd))


def test_layout_is_tokens_eos_padding(vocabulary):
    ids = vocabulary.encode(["the cat", "the cat sat on the mat."], 60)
    assert ids.shape == (2, 60)
    assert ids.dtype == torch.int64
    for row, sentence in zip(ids, ["the cat", "the cat sat on the mat."], strict=True):
        tokens = vocabulary.ids(sentence)
        assert row[: len(tokens)].tolist() == tokens
        assert row[len(tokens)] == EOS
        assert (row[len(tokens) + 1 :] == PAD).all()
    assert not (ids == BOS).any()


def test_special_tokens_spelled_in_the_text_do_not_end_a_sentence(vocabulary):
    ids = vocabulary.encode(["cat <eos> <pad> <bos> mat"])
    assert (ids == EOS).sum() == 1
    assert ids[0, -1] == EOS
    assert not ((ids == PAD) | (ids == BOS)).any()


def test_decode_stops_at_the_first_eos_and_skips_padding(vocabulary):
    cat, dog = (vocabulary.ids(word)[-1] for word in ("the cat", "the dog"))
    text = vocabulary.decode(torch.tensor([[BOS, cat, PAD, EOS, dog, dog], [PAD] * 6]))
    assert text[0].strip() == vocabulary.decode(torch.tensor([[cat]]))[0]
    assert text[1] == ""


def test_words_are_ranked_by_count_then_spelling():
    vocabulary = Vocabulary.train(["b b b a a c c d"], "word", 7, min_count=2)
    assert [vocabulary.tokenizer.id_to_token(i) for i in range(len(vocabulary))][4:] == ["b", "a", "c"]
    assert vocabulary.ids("d b") == [UNK, 4]


def test_unk_in_the_text_is_the_unknown_word():
    vocabulary = Vocabulary.train(["a <unk> b"], "word", 100)
    assert len(vocabulary) == 6
    assert vocabulary.ids("a <unk> zebra")[1:] == [UNK, UNK]


def test_subwords_know_every_string():
    vocabulary = Vocabulary.train(TEXT, "subword", 280)
    assert len(vocabulary) <= 280
    strange = "Ωmega ☃ 漢字"
    assert UNK not in vocabulary.ids(strange)
    assert vocabulary.decode(vocabulary.encode([strange])) == [strange]


ODD = [
    "CC(=O)Oc1ccccc1[N+](=O)[O-]",
    "我喜欢猫。",
    "  two\tblanks \n",
    "e\u0301te\u0301",
    "<unk>",
    "a\x00\u2028\u200d",
    "it's",
]


def test_characters_come_back_as_they_were_in_normal_form():
    vocabulary = Vocabulary.train(ODD, "char", 1000)
    wanted = [unicodedata.normalize("NFC", text) for text in ODD]
    assert vocabulary.decode(vocabulary.encode(ODD)) == wanted
    assert [len(vocabulary.ids(text)) for text in ODD] == [len(text) for text in wanted]
    assert not (vocabulary.encode(ODD) == UNK).any()
    assert vocabulary.ids("猫犬") == [vocabulary.ids("猫")[0], UNK]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("a , b .", "a, b."),
        ('" a b " c', '"a b" c'),
        ("( a ) [ b ]", "(a) [b]"),
        ("it 's all he did n't", "it's all he didn't"),
    ],
)
def test_join_puts_spaces_where_a_reader_expects_them(words, line):
    assert join(words.split()) == line


def test_errors_name_the_cure():
    with pytest.raises(UsageError, match=r"vocab_size=100 .* give 260 or more"):
        Vocabulary.train(TEXT, "subword", 100)
    with pytest.raises(PyrovaeError, match="no word occurs min_count=99 times"):
        Vocabulary.train(TEXT, "word", 100, min_count=99)
    with pytest.raises(PyrovaeError, match="no character occurs min_count=99 times"):
        Vocabulary.train(TEXT, "char", 100, min_count=99)
    with pytest.raises(UsageError, match="3 tokens with <eos>, and length = 2"):
        pad([[5, 6]], 2)
    with pytest.raises(PyrovaeError, match="no vocabulary"):
        Vocabulary.from_json("{")
    with pytest.raises(PyrovaeError, match="no vocabulary"):
        Vocabulary.from_json("{}")
