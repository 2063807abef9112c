"""Sessions in one process, without any queue: the same core, stores and streams of your own."""
