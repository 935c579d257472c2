"""A model changes: it is registered, its alias moves, a project's files are applied."""
