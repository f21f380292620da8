"""The base of every parameter model: frozen, strict about names, documented field by field."""

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """Frozen parameters; an unknown key is an error and each field's docstring is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
