"""Loads a released bundle for mlflow.pyfunc: prompts in, continuations out.

MLflow copies this file beside the bundle, so it works where gristmill is not installed: it needs pandas only when
pandas brings the prompts, and takes everything else from the bundle's own generate.py.
"""

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLUMN = "prompt"
PARAMETERS: dict[str, Any] = {
    "max_new_tokens": 64,
    "temperature": 0.6,
    "top_k": 50,
    "top_p": 0.95,
    "greedy": False,
    "seed": -1,
    "num_continuations": 1,
    "variant": "",
}
"""Parameters of predict with their defaults; seed -1 draws anew each time, variant "" is the served one."""
OUTPUTS: dict[str, type] = {}
"""Columns of what predict gives, by name; none where it is a text."""


class Continuations:
    """What mlflow.pyfunc.load_model gives to work with."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle
        self.generator = _import_file("gristmill_generate", bundle / "generate.py")
        self.models: dict[str, Any] = {}

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> list[Any]:
        """One continuation for each prompt, or a list of them when num_continuations is above 1."""
        settings = PARAMETERS | dict(params or {})
        model = self._model(str(settings.pop("variant")))
        settings["seed"] = None if int(settings["seed"]) < 0 else int(settings["seed"])
        made = model.generate(prompts_of(model_input), **settings)
        return made if settings["num_continuations"] > 1 else [texts[0] for texts in made]

    def _model(self, variant: str) -> Any:
        if variant not in self.models:
            folder = self.generator.served_folder(self.bundle, variant or None)
            self.models[variant] = self.generator.OnnxModel(folder)
        return self.models[variant]


def prompts_of(model_input: Any) -> list[str]:
    """The prompts of a DataFrame (column prompt, or its only column), a mapping, a list or a single text."""
    if isinstance(model_input, str):
        return [model_input]
    if isinstance(model_input, Mapping):
        return prompts_of(model_input[COLUMN])
    if hasattr(model_input, "columns"):
        name = COLUMN if COLUMN in model_input.columns else model_input.columns[0]
        return [str(prompt) for prompt in model_input[name]]
    rows: Sequence[Any] = list(model_input)
    return [str(row[COLUMN]) if isinstance(row, Mapping) else str(row) for row in rows]


def _load_pyfunc(data_path: str) -> Continuations:
    return Continuations(Path(data_path))


def _import_file(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module
