"""Models of everything that Turnline puts on a wire.  Imports pydantic and nothing else."""
