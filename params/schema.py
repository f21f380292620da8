"""The JSON schema of presets, so that editors complete and check their keys."""

import json
from pathlib import Path
from typing import Any

from params.errors import ParameterError
from params.load import PRESETS
from params.pipeline import PipelineParams

DEFAULT_PATH = PRESETS / "schema.json"


def preset_schema() -> dict[str, Any]:
    """The schema of a preset file: the pipeline's parameters, none of them required, and `extends`."""
    schema = PipelineParams.model_json_schema()
    schema["properties"] = {
        "extends": {"type": "string", "description": "A preset, by name or path, that this one is laid over."},
        **schema["properties"],
    }
    schema.pop("required", None)  # what one preset leaves out, the one it extends or --set may bring
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Gristmill preset"}


def write_schema(path: Path = DEFAULT_PATH) -> Path:
    """Write the schema; the path written."""
    try:
        path.write_text(json.dumps(preset_schema(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ParameterError(f"{path}: cannot be written ({error.strerror})") from None
    return path
