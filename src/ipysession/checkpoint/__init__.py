"""Values of variables after a step, and how they come back.

Saved group by group: names that may share mutable objects belong together. What is small is
saved with the step, the rest in idle time; what was not saved is replayed. `restore` and
`replay` run inside a kernel; the rest imports no IPython.
"""
