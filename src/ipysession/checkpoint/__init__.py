"""Values of variables after a step, and how they come back.

First version: saved in the cell's own time within a budget, one pickle per group of names
that may share mutable objects; restored at once; what was not saved is replayed. `plan`
imports no IPython; `restore` runs inside a kernel.
"""
