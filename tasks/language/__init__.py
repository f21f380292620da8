"""Languages of texts, by their scripts and by a model that a package brings along."""
