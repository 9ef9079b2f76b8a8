"""Speed, measured beside its peers in one run.

`python -m benchmarks.step`, `.epoch`, `.loglik`, `.compile`, `.startup` and `.growth` print a table and write JSON.
The peers are an extra: `python -m pip install -e '.[bench]'`.
"""
