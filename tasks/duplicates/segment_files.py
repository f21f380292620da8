"""Names of the files of an index: what a result of dedup holds of it, and where."""

INDEX_FOLDER = "index"
"""Of a result of dedup: the segment it adds."""
SEGMENTS_NAME = "segments.json"
"""In a result: fingerprints of the results that hold its index's segments, oldest first; null for its own."""

DIGESTS, DIGEST_NUMBERS, SURVIVORS = "digests.npy", "digest_numbers.npy", "survivors.npy"
MINIMA, OWNERS, KEYS, MEMBERS = "minima.npy", "owners.npy", "keys.npy", "members.npy"
