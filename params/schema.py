"""The JSON schema of presets, so that editors complete and check their keys."""

import json
from typing import Any

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


def schema_text() -> str:
    """The schema as the file that editors read."""
    return json.dumps(preset_schema(), indent=1, ensure_ascii=False) + "\n"
