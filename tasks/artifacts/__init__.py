"""Sealed results on disk: what they are, what made them, and proof that they are whole."""
