"""The files of existing weights: which count, what they say of themselves, and what keeps them from being used."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from params.errors import ParameterError
from tasks.artifacts.digest import digest_entries, digest_file
from tasks.files.json_object import read_object

FIELD = "train.model.from_weights"
CONFIG, TOKENIZER = "config.json", "tokenizer.json"
SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
_ADAPTER = "adapter_config.json"
_CARRIED = (CONFIG, "generation_config.json", TOKENIZER)
"""Files beside the weights that change what is trained or left."""
_LANGUAGE_MODELS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "WithLMHead")
_SHOWN = 6


@dataclass(frozen=True)
class WeightFiles:
    """The weights of a transformers folder."""

    paths: tuple[Path, ...]
    pickled: bool
    """Whether they are PyTorch pickles instead of safetensors."""


def weights_digest(path: Path) -> str:
    """What a folder of weights or a GGUF file is made of, wherever it lies: the weights' identity in a recipe."""
    if path.is_file():
        return digest_entries([("gguf", path.stat().st_size, digest_file(path))])
    carried = (path / name for name in _CARRIED)
    files = [*weight_files(path).paths, *(file for file in carried if file.exists())]
    return digest_entries((file.name, file.stat().st_size, digest_file(file)) for file in files)


def weight_files(folder: Path) -> WeightFiles:
    """The files that hold a folder's weights, safetensors before pickles; raises ParameterError when one is missing."""
    for name, pickled in ((SAFETENSORS, False), (PICKLE, True)):
        index = folder / f"{name}.index.json"
        if (folder / name).exists():
            return WeightFiles((folder / name,), pickled)
        if index.exists():
            shards = sorted(set(_read_json(index).get("weight_map", {}).values()))
            if missing := [shard for shard in shards if not (folder / shard).exists()]:
                raise ParameterError(
                    f"{FIELD}: {index} names {len(shards)} files, and {', '.join(missing[:_SHOWN])} is missing; "
                    "fetch the folder again"
                )
            return WeightFiles(tuple(folder / shard for shard in shards), pickled)
    names = sorted(file.name for file in folder.iterdir())[: 2 * _SHOWN]
    raise ParameterError(
        f"{FIELD}: {folder} holds no {SAFETENSORS} (nor its index, nor {PICKLE}); "
        f"it holds {', '.join(names) or 'nothing'}"
    )


def check_config(folder: Path) -> dict[str, Any]:
    """The configuration of a folder, if training can start from it; raises ParameterError with the reason if not."""
    path = folder / CONFIG
    if not path.exists():
        if (folder / _ADAPTER).exists():
            base = _read_json(folder / _ADAPTER).get("base_model_name_or_path")
            raise ParameterError(
                f"{FIELD}: {folder} is an adapter of {base}, not a model; merge it into its base first "
                "(peft: merge_and_unload, save_pretrained), or take the merged model of the run that made it"
            )
        files = sorted(file.name for file in folder.glob("*.gguf"))
        other = f", or the file itself: {', '.join(files[:_SHOWN])}" if files else ""
        raise ParameterError(f"{FIELD}: {folder} has no {CONFIG}; name a folder that save_pretrained wrote{other}")
    config = _read_json(path)
    _check_architecture(config, path)
    if quantized := config.get("quantization_config"):
        method = quantized.get("quant_method", "unknown") if isinstance(quantized, dict) else quantized
        raise ParameterError(
            f"{FIELD}: {path} says that the weights are quantized ({method}), which cannot be trained; "
            "take the original weights, or a GGUF file, which is de-quantized"
        )
    return config


def has_remote_code(config: Mapping[str, Any]) -> bool:
    """Whether a configuration asks for Python code of its folder to be run; that is never done."""
    return bool(config.get("auto_map"))


def check_tensors(files: Sequence[Path]) -> Counter[str]:
    """Values by dtype; raises ParameterError for a file that cannot be read, or a tensor with NaN or infinity."""
    import torch
    from safetensors import SafetensorError, safe_open

    dtypes: Counter[str] = Counter()
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 (no mapping)
                    tensor = file.get_tensor(name)
                    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                        raise ParameterError(_not_finite(path, name, tensor))
                    dtypes[str(tensor.dtype).removeprefix("torch.")] += tensor.numel()
        except SafetensorError as error:
            raise ParameterError(
                f"{FIELD}: {path} cannot be read ({error}); it is cut off or damaged: fetch it again"
            ) from None
    return dtypes


def known_architectures() -> list[str]:
    """Model types of transformers that write text, alone or from another text."""
    from transformers.models.auto import modeling_auto

    kinds: Any = modeling_auto
    causal, from_text = kinds.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, kinds.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    return sorted({*causal, *from_text})


def first_line(error: Exception) -> str:
    """What an error of a library says, in a line."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _check_architecture(config: dict[str, Any], path: Path) -> None:
    kind, known = config.get("model_type"), known_architectures()
    if kind not in known:
        if has_remote_code(config):
            raise ParameterError(
                f"{FIELD}: {path} describes {kind}, which brings its own code (auto_map); code that comes with weights "
                "is never executed here. Take a model of an architecture that transformers knows"
            )
        close = get_close_matches(str(kind), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
        raise ParameterError(
            f"{FIELD}: {path}: model_type {kind!r} is no language model that transformers knows; {hint}"
        )
    named = config.get("architectures") or []
    if named and not any(str(name).endswith(_LANGUAGE_MODELS) for name in named):
        raise ParameterError(
            f"{FIELD}: {path} is of class {', '.join(map(str, named))}, which does not write text; take weights of a "
            f"class that ends in {' or '.join(_LANGUAGE_MODELS[:3])}"
        )


def _not_finite(path: Path, name: str, tensor: Any) -> str:
    import torch

    count = int(tensor.numel() - torch.isfinite(tensor).sum())
    what = "NaN" if bool(torch.isnan(tensor).any()) else "infinity"
    return (
        f"{FIELD}: {path}: {name} has {what} at {count:,} of {tensor.numel():,} places, and nothing can be learned "
        "from that; take an earlier checkpoint of the model, or fetch it again"
    )


def _read_json(path: Path) -> dict[str, Any]:
    return read_object(path, field=FIELD, remedy="fetch the folder again")
