"""The machine: what it has free, what it can do at most, and what other machines could."""
