"""Two hours of simulated work: mixed cells, a person's pauses, kills at random moments; after each
resume the names hold what they hold in a kernel that was never killed, or the table says why not.
"""
