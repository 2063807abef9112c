"""The interaction core: values in, values out.

No queue, no database, no clock, no randomness and no environment; what a turn needs of the
world comes in as arguments.
"""
