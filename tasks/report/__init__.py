"""Pictures of what a run did, as PNG files in the logs/ of a result."""
