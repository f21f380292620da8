"""The base of every parameter model: frozen, strict about names, finite, documented field by field."""

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """Frozen parameters; an unknown key is an error and each field's docstring is its description.

    Infinity is no limit either: null is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
