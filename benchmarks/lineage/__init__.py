"""Whose slices of 64 sessions run again, and how many cells they keep: ours and ipyflow's.

Each slice runs in a fresh IPython in an empty folder and must show what the session showed last.
"""
