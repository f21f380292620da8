"""Readers of raw files: one per format, each turning bytes into documents and quarantined records."""
