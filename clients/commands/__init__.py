"""One file per command of `lockstep`. Heavy imports live inside the functions: `lockstep --help` must be instant."""
