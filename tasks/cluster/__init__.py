"""Ray and Dask clusters: what a local one is started with, and how a user's own is reached."""
