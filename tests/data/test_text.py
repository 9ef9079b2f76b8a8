"""Text that is not made of words: characters as tokens, and what is said where words were taken."""

import pyrovae
from pyrovae.data import DataConfig
from pyrovae.data.catalogue import load

SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "CCO", "c1ccccc1"] * 5
CHINESE = ["我喜欢猫", "他在公园里跑步", "鸟在树上唱歌", "今天天气很好"] * 5
TINY = {"epochs": 1, "hidden": 4, "embedding": 3, "latent_dim": 2, "score_samples": 2, "device": "cpu", "show": False}


def notes(path, lines, **options):
    path.write_text("\n".join(lines), encoding="utf-8")
    return [note for note in load(path, DataConfig(**options)).description["notes"] if "vocab" in note]


def test_text_without_blanks_is_told_to_be_read_by_characters(tmp_path):
    path = tmp_path / "lines.txt"
    (note,) = notes(path, CHINESE)
    assert "a sentence has 1.0 words between blanks and 5." in note
    assert "vocab='char' reads the characters one by one" in note
    assert len(notes(path, SMILES)) == 1
    assert notes(path, [f"a {line}" for line in CHINESE]) == []
    assert notes(path, CHINESE, vocab="char") == notes(path, CHINESE, vocab="subword", vocab_size=300) == []


def test_a_run_of_characters_is_kept_and_gives_text_as_it_was_written(tmp_path):
    (tmp_path / "smiles.txt").write_text("\n".join(SMILES))
    pyrovae.fit("textvae", tmp_path / "smiles.txt", out=tmp_path / "run", vocab="char", **TINY)
    run = pyrovae.load(tmp_path / "run")
    assert run.description["vocabulary"]["kind"] == "char"
    ids = run.split("all")[0]
    assert set(run.vocabulary.decode(ids)) == set(SMILES)
    assert ids.ne(run.vocabulary.pad).sum(-1).tolist() == [len(line) + 1 for line in run.vocabulary.decode(ids)]
    assert not any(" " in line for line in run.sample(8, temperature=1.0))
    (tmp_path / "new.txt").write_text("CCO\n\nC1CC1\n")
    assert run.vocabulary.decode(run.on(tmp_path / "new.txt").split("test")[0]) == ["CCO", "C1CC1"]
