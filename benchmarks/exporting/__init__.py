"""Exports of random sessions: does every one give its targets again, and how small is it?

``python -m benchmarks.exporting`` writes sessions by a generator (`sessions`), records each in
a real IPython, runs its export in a fresh one (`playing`), and counts.
"""
