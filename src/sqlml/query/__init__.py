"""A statement enters: text, then tokens and a tree, then our statements and calls."""
