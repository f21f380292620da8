"""Exact and near duplicates: digests, MinHash signatures, bands and clusters of verified pairs."""
