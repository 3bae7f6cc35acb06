"""Programs people use: the `lockstep` command line, the terminal view, publisher and subscriber scripts.

They talk to a running engine through `engine.messages` and `engine.bus`. Only the command line, which starts
everything, imports public entry points of other folders, and does so inside functions so that `lockstep --help` is instant.
"""
