"""Real servers, real worker processes, and a reader that looks at rows and keys by itself."""
