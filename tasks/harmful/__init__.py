"""Obscene and hateful words in texts, and how dense they stand."""
