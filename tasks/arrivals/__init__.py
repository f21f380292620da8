"""Text that arrives in batches: which files are new, and which have gone."""
