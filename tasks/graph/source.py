"""The folder that is exported: whole, finite, and with a tokenizer that belongs to it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from params.errors import ExportError
from tasks.graph.build import is_classifier
from tasks.model.files import first_line
from tasks.model.quiet import quiet_transformers
from tasks.tokenizer.files import CONFIG, TOKENIZER, special_ids

_MAX_UNUSED_ROWS = 1024
"""Rows beyond the vocabulary that padding explains (Qwen has 267); more of them belong to another tokenizer."""
_SHOWN = 4


def check_folder(folder: Path) -> dict[str, Any]:
    """The configuration of a transformers folder; raises ExportError for a tokenizer that is missing or another's."""
    for name in ("config.json", TOKENIZER, CONFIG):
        if not (folder / name).exists():
            raise ExportError(
                f"{folder}: {name} is missing; export takes a folder that training or save_pretrained left"
            )
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    size, rows = special_ids(folder).vocab_size, int(config["vocab_size"])
    if not size <= rows <= size + _MAX_UNUSED_ROWS:
        raise ExportError(
            f"{folder}: {TOKENIZER} has {size:,} entries and the model {rows:,} rows (config.json: vocab_size); "
            "they do not belong together: put the tokenizer there that the model was trained with"
        )
    return config


def load_whole(folder: Path) -> Any:
    """The model in float32 for inference; raises ExportError for weights that are missing, too many or not numbers."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
    try:
        with quiet_transformers():
            model, found = _class_of(config).from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation="eager",
                local_files_only=True,
                ignore_mismatched_sizes=True,  # told below, with their names
                output_loading_info=True,
            )
    except (SafetensorError, OSError) as error:
        raise ExportError(
            f"{folder}: its weights cannot be read ({first_line(error)}); the file is missing, cut off or damaged"
        ) from None
    _refuse(folder, "lacks weights", found["missing_keys"], "copy the whole folder again")
    _refuse(folder, "has weights without a place", found["unexpected_keys"], "its config.json is of another model")
    shapes = [name for name, *_ in found["mismatched_keys"]]
    _refuse(folder, "has weights of another shape", shapes, "its config.json is of another model")
    bad = [name for name, parameter in model.named_parameters() if not bool(torch.isfinite(parameter).all())]
    _refuse(folder, "has NaN or infinity in", bad, "export an earlier checkpoint")
    return model.eval()


def _class_of(config: Any) -> Any:
    """The factory for the class that config.json names."""
    from transformers import AutoModelForSequenceClassification

    from tasks.model.build import model_class

    return AutoModelForSequenceClassification if is_classifier(config.to_dict()) else model_class(config)


def _refuse(folder: Path, what: str, names: Sequence[str], remedy: str) -> None:
    if names := sorted(names):
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise ExportError(f"{folder} {what}: {', '.join(names[:_SHOWN])}{more}; {remedy}")
