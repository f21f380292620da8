"""The JSON schema of presets."""

import json

import yaml

from params.load import PRESETS, preset_names
from params.pipeline import PipelineParams
from params.schema import preset_schema


def test_the_schema_beside_the_presets_is_up_to_date():
    assert json.loads((PRESETS / "schema.json").read_text(encoding="utf-8")) == preset_schema(), "gristmill schema"


def test_every_section_and_field_of_the_schema_is_described():
    schema = preset_schema()
    models = [schema, *(schema["$defs"].values())]
    fields = [(model["title"], name, field) for model in models for name, field in model["properties"].items()]
    assert [(title, name) for title, name, field in fields if not field.get("description")] == []


def test_the_schema_has_every_section_forbids_others_and_requires_none():
    schema = preset_schema()
    assert set(schema["properties"]) == {"extends", *PipelineParams.model_fields}
    assert schema["additionalProperties"] is False
    assert "required" not in schema


def test_every_built_in_preset_points_to_the_schema_and_uses_only_its_sections():
    for name in preset_names():
        text = (PRESETS / f"{name}.yaml").read_text(encoding="utf-8")
        assert "# yaml-language-server: $schema=schema.json" in text
        assert set(yaml.safe_load(text)) <= set(preset_schema()["properties"])
