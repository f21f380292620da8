"""The special tokens, declared once."""

BEGIN_OF_TEXT = "<|endoftext|>"
"""Stands before the first token of a document, which makes it the end of the one before: one token for both."""
PADDING = "<|pad|>"
"""Fills a block that the text does not; never a target."""
