"""Personal data in texts: where it stands, and texts without it."""
