"""What recording costs, measured side by side in one run: ``python -m benchmarks``.

docs/benchmarks.md tells what each figure is. Nothing here is a test: a slow machine is slow
with and without us, so what counts are the ratios within one run.
"""
