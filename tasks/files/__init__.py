"""Raw files on disk: which ones a source means, and what is in them."""
