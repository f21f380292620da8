"""Smaller graphs by weight-only quantization, and what they lose by it."""
