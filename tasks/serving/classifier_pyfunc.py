"""Loads a released classifier for mlflow.pyfunc: texts in, labels with their probabilities out.

MLflow copies this file beside the bundle, so it works where gristmill is not installed: it needs pandas only when
pandas brings the texts, and takes everything else from the bundle's own classify.py.
"""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COLUMN = "text"
PARAMETERS: dict[str, Any] = {"truncate": False, "variant": ""}
"""Parameters of predict with their defaults; variant "" is the served one."""
OUTPUTS: dict[str, type] = {"label": str, "probability": float}
"""Columns of what predict gives; the probabilities of all labels stand beside them."""


class Labels:
    """What mlflow.pyfunc.load_model gives to work with."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle
        self.classifier = _import_file("gristmill_classify", bundle / "classify.py")
        self.models: dict[str, Any] = {}

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """For each text its label, the probability of that, and the probabilities of all labels."""
        settings = PARAMETERS | dict(params or {})
        model = self._model(str(settings["variant"]))
        found: list[dict[str, Any]] = model.classify(texts_of(model_input), truncate=bool(settings["truncate"]))
        return found

    def _model(self, variant: str) -> Any:
        if variant not in self.models:
            folder = self.classifier.served_folder(self.bundle, variant or None)
            self.models[variant] = self.classifier.OnnxClassifier(folder)
        return self.models[variant]


def texts_of(model_input: Any) -> list[str]:
    """The texts of a DataFrame (column text, or its only column), a mapping, a list or a single text."""
    if isinstance(model_input, str):
        return [model_input]
    if isinstance(model_input, Mapping):
        return texts_of(model_input[COLUMN])
    if hasattr(model_input, "columns"):
        name = COLUMN if COLUMN in model_input.columns else model_input.columns[0]
        return [str(text) for text in model_input[name]]
    return [str(row[COLUMN]) if isinstance(row, Mapping) else str(row) for row in model_input]


def _load_pyfunc(data_path: str) -> Labels:
    return Labels(Path(data_path))


def _import_file(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
