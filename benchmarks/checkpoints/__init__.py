"""Checkpoints side by side with other tools: what the user waits for, what is written, and how
soon everything is back after a kill.
"""
