"""A model is read: its reference, signature, private copy, trust, library and answers."""
