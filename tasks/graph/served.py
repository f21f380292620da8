"""The files beside a graph that make its folder ready to run."""

import json
import shutil
from pathlib import Path
from typing import Any

from params.errors import ExportError
from tasks.artifacts.digest import write_atomic
from tasks.graph.build import GENAI_ARCHITECTURES, is_classifier
from tasks.tokenizer.files import CONFIG, TOKENIZER, copy_tokenizer

SETTINGS = "generation.json"
_SAMPLING = {"max_new_tokens": 64, "temperature": 0.6, "top_k": 50, "top_p": 0.95}


def write_companions(model_folder: Path, out: Path, *, context: int) -> None:
    """Write the tokenizer and generation.json of a transformers folder beside the graph.

    `context` is what the model was trained on; it holds where the architecture itself sets no limit.
    """
    for name in (TOKENIZER, CONFIG):
        if not (model_folder / name).exists():
            raise ExportError(f"{model_folder}: {name} is missing; the model cannot be run without its tokenizer")
    copy_tokenizer(model_folder, out)
    config = json.loads((model_folder / "config.json").read_text(encoding="utf-8"))
    write_atomic(out / SETTINGS, json.dumps(generation_settings(config, context=context), indent=1) + "\n")


def copy_companions(folder: Path, out: Path) -> None:
    """Copy tokenizer and generation.json from one served folder to another."""
    copy_tokenizer(folder, out)
    shutil.copyfile(folder / SETTINGS, out / SETTINGS)


def generation_settings(config: dict[str, Any], *, context: int) -> dict[str, Any]:
    """What running the graph takes, from a transformers config.json (gpt2 and bloom have names of their own)."""
    heads = _first(config, "num_attention_heads", "n_head", "num_heads")
    head_dim = _first(config, "head_dim", "d_kv") or _first(config, "hidden_size", "n_embd") // heads
    return {
        "architecture": config["model_type"],
        "bos_token_id": config["bos_token_id"],
        "eos_token_id": config["eos_token_id"],
        "pad_token_id": config["pad_token_id"],
        "context_length": _first(config, "max_position_embeddings", "n_positions") or context,
        "vocab_size": config["vocab_size"],
        "num_layers": _first(config, "num_hidden_layers", "n_layer", "num_decoder_layers"),
        "num_kv_heads": _first(config, "num_key_value_heads") or heads,
        "head_dim": head_dim,
        "in_place_cache": config["model_type"] in GENAI_ARCHITECTURES,
        "sampling": _SAMPLING,
        **({"labels": _labels(config)} if is_classifier(config) else {}),
        **({"start_token_id": config["decoder_start_token_id"]} if config.get("is_encoder_decoder") else {}),
    }


def _labels(config: dict[str, Any]) -> list[str]:
    """Their names in the order of the logits."""
    named = config["id2label"]
    return [str(named[number]) for number in sorted(named, key=int)]


def _first(config: dict[str, Any], *names: str) -> Any:
    return next((config[name] for name in names if config.get(name) is not None), None)


def graph_bytes(folder: Path) -> int:
    """Size of the graph (of both, where there are two) with its weights."""
    return sum(path.stat().st_size for path in folder.glob("*.onnx*"))
