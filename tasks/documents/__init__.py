"""Documents in Arrow IPC shards: their schema, reading and atomic writing."""
