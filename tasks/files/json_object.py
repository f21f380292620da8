"""A JSON object in a file that a parameter names."""

import json
from pathlib import Path
from typing import Any

from params.errors import ParameterError


def read_object(path: Path, *, field: str, remedy: str) -> dict[str, Any]:
    """The object; raises ParameterError with the field that named the file where it holds something else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ParameterError(f"{field}: {path} is not JSON: {error}; {remedy}") from None
    if not isinstance(data, dict):
        raise ParameterError(f"{field}: {path} is not a JSON object; {remedy}")
    return data
