"""Language models: standard transformers classes from configuration."""
