"""The `packshot` command and the local cloud. Depends on `packshot`; nothing in `packshot` depends on it."""
