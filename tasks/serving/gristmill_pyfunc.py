"""Loads a released bundle for mlflow.pyfunc: prompts in and continuations out, or texts in and labels out.

MLflow copies this file beside the bundle, so it works where gristmill is not installed: it needs pandas only when
pandas brings the texts, and takes everything else from the bundle's own generate.py or classify.py.
"""

import importlib.util
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar


class Loaded(ABC):
    """What mlflow.pyfunc.load_model gives to work with."""

    program: ClassVar[str]
    """File of the bundle that runs the model."""
    column: ClassVar[str]
    """Of a table: where the texts are."""
    parameters: ClassVar[dict[str, Any]]
    """Of predict, with their defaults; variant "" is the served one."""
    outputs: ClassVar[dict[str, type]]
    """Columns of what predict gives, by name; none where it is a text."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle
        self.runner = _import_file(f"gristmill_{Path(self.program).stem}", bundle / self.program)
        self.models: dict[str, Any] = {}

    @abstractmethod
    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> list[Any]:
        """What the model makes of each text."""

    def model(self, variant: str, kind: str) -> Any:
        """The model of a variant, as the program's class of this name."""
        if variant not in self.models:
            folder = self.runner.served_folder(self.bundle, variant or None)
            self.models[variant] = getattr(self.runner, kind)(folder)
        return self.models[variant]


class Continuations(Loaded):
    """Writes on."""

    program, column = "generate.py", "prompt"
    parameters: ClassVar[dict[str, Any]] = {
        "max_new_tokens": 64,
        "temperature": 0.6,
        "top_k": 50,
        "top_p": 0.95,
        "greedy": False,
        "seed": -1,  # draws anew each time
        "num_continuations": 1,
        "variant": "",
    }
    outputs: ClassVar[dict[str, type]] = {}

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> list[Any]:
        """One continuation for each prompt, or a list of them when num_continuations is above 1."""
        settings = self.parameters | dict(params or {})
        model = self.model(str(settings.pop("variant")), "OnnxModel")
        settings["seed"] = None if int(settings["seed"]) < 0 else int(settings["seed"])
        made = model.generate(texts_of(model_input, self.column), **settings)
        return made if settings["num_continuations"] > 1 else [texts[0] for texts in made]


class Labels(Loaded):
    """Classifies; the probabilities of all labels stand beside the outputs."""

    program, column = "classify.py", "text"
    parameters: ClassVar[dict[str, Any]] = {"truncate": False, "variant": ""}
    outputs: ClassVar[dict[str, type]] = {"label": str, "probability": float}

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> list[Any]:
        """For each text its label, the probability of that, and the probabilities of all labels."""
        settings = self.parameters | dict(params or {})
        model = self.model(str(settings["variant"]), "OnnxClassifier")
        found: list[Any] = model.classify(texts_of(model_input, self.column), truncate=bool(settings["truncate"]))
        return found


def loader_of(bundle: Path) -> type[Loaded]:
    """Which of them a bundle is for."""
    return next(loader for loader in (Continuations, Labels) if (bundle / loader.program).exists())


def texts_of(model_input: Any, column: str) -> list[str]:
    """The texts of a DataFrame (this column, or its only one), a mapping, a list or a single text."""
    if isinstance(model_input, str):
        return [model_input]
    if isinstance(model_input, Mapping):
        return texts_of(model_input[column], column)
    if hasattr(model_input, "columns"):
        name = column if column in model_input.columns else model_input.columns[0]
        return [str(text) for text in model_input[name]]
    return [str(row[column]) if isinstance(row, Mapping) else str(row) for row in model_input]


def _load_pyfunc(data_path: str) -> Loaded:
    bundle = Path(data_path)
    return loader_of(bundle)(bundle)


def _import_file(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module
