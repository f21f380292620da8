"""Token shards: packed blocks in memory-mapped Arrow files."""
