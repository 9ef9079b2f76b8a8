"""Run directories with files changed, lost, swapped or no files: `pyrovae.load` and `pyrovae loglik` on each."""

from random import Random

import fuzzing
import pytest
from commands import listing, run, the_error
from fuzzing.judge import outcome


@pytest.mark.parametrize("part", range(3))
def test_damaged_runs_load_or_are_refused(tmp_path, part):
    target, counts = fuzzing.TARGETS["run"], {"loaded": 0, "refused": 0}
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        counts[outcome(target, target.make(Random(f"{part} {number}"), folder))] += 1
    assert min(counts.values()) > 3


def test_the_command_tells_damage_in_one_sentence_and_writes_nothing(tmp_path, monkeypatch):
    codes = set()
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        fuzzing.TARGETS["run"].make(Random(f"command {number}"), folder)
        monkeypatch.chdir(folder)
        before = listing(folder)
        result = run("loglik", "run", "--samples", "2", "--limit", "2", "--device", "cpu")
        assert result.exit_code in (0, 1, 2), result.output
        assert "--debug to see where" not in result.output, (number, result.output)
        if result.exit_code:
            the_error(result.stderr)
            assert result.stdout == ""
        assert listing(folder) == before
        codes.add(result.exit_code)
    assert codes == {0, 1, 2}
