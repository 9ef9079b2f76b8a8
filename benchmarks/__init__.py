"""Speed, measured beside its peers in one run; and the noise of gradients (`.gradients`), which has no peers.

`python -m benchmarks.step`, `.epoch`, `.loglik`, `.compile`, `.startup` and `.growth` print a table and write JSON.
The peers are an extra: `python -m pip install -e '.[bench]'`.
"""
