#!/usr/bin/env bash
# pyro-ppl 1.9.2 with torch 2.14.1: pyro.nn.DenseNN, AutoRegressiveNN and ConditionalAutoRegressiveNN cannot be built
# under torch.device("meta"), as torch.nn.Linear and everything made of it can: their constructors put the sizes that
# they were given into tensors and read them back by .item(), which a meta tensor has not. So a model that holds one
# cannot be laid out without memory, to see its shapes before its weights are read.
#
# Seen in November 2026: RuntimeError: Tensor.item() cannot be called on meta tensors, for each of the three
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 pyro-ppl==1.9.2
"$work/venv/bin/python" - <<'PYTHON'
import pyro.nn
import torch

built = {
    "torch.nn.Linear": lambda: torch.nn.Linear(4, 8),
    "DenseNN": lambda: pyro.nn.DenseNN(4, [8], [2]),
    "AutoRegressiveNN": lambda: pyro.nn.AutoRegressiveNN(4, [8]),
    "ConditionalAutoRegressiveNN": lambda: pyro.nn.ConditionalAutoRegressiveNN(4, 2, [8]),
}
found = {}
with torch.device("meta"):
    for name, make in built.items():
        try:
            make()
            found[name] = "built"
        except RuntimeError as error:
            found[name] = str(error).splitlines()[0]
for name, what in found.items():
    print(f"{name}: {what}")
assert found.pop("torch.nn.Linear") == "built"
assert all("meta tensors" in what for what in found.values()), found
PYTHON
