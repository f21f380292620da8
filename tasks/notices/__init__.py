"""Telling people that a run has ended: the message, and the ways it takes."""
