"""Measuring language models on held-out documents."""
