"""Every statement of a turn.  ``docs/architecture.md`` counts them, and a test does."""
