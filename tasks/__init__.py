"""A file here is one stage; a folder here is a library that knows neither Prefect nor MLflow."""
