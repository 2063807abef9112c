"""Redis: the inbox that turns arrive in, and the log that events leave by."""
