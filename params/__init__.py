"""Parameters: one model per stage, presets as YAML, and the errors a user can cause."""
