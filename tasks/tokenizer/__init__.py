"""Byte-level tokenizers: training, files and special tokens."""
