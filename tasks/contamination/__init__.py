"""Evaluation text in training documents: n-gram index, search, verdicts, removal, canaries, report."""
