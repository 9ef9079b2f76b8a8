"""`seeded`: its own numbers inside, the caller's generators untouched outside."""

import pytest
import torch

from pyrovae.runtime.seeding import seeded


def test_other_devices_are_never_seeded_and_the_generator_is_as_found(monkeypatch):
    def seed_all(seed):
        raise AssertionError("every device of the machine was seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", seed_all)
    state, expected = torch.get_rng_state(), torch.randn(3, generator=torch.Generator().manual_seed(7))
    with seeded(7):
        assert torch.equal(torch.randn(3), expected)
        with seeded(8, "cpu"):
            assert not torch.equal(torch.randn(3), expected)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(ZeroDivisionError), seeded(7):
        torch.randn(1) / (1 // 0)
    assert torch.equal(torch.get_rng_state(), state)
