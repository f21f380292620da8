"""Settings of the server."""

import json
from pathlib import Path

import pytest

from params.errors import ParameterError
from params.serve import ServeParams


def test_a_wrong_setting_is_named_with_its_value_and_the_remedy():
    with pytest.raises(ParameterError, match="port is 70000; it must be less than or equal to 65535"):
        ServeParams.load({"port": 70000})
    with pytest.raises(ParameterError, match="no setting max_que of the server; did you mean max_queue"):
        ServeParams.load({"max_que": 1})


def test_the_documentation_names_every_setting_with_its_default():
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    for name, field in ServeParams.model_fields.items():
        default = json.dumps(field.default).strip('"')
        assert f"| `{name}` | {default} | {field.description} |" in page, name
