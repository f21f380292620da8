"""Existing weights as a model that learns: float32, no dropout, complete, with the vocabulary of our tokenizer."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from params.errors import ParameterError
from tasks.model.build import attention_of, model_class
from tasks.model.files import FIELD
from tasks.model.packing import accept_packed_blocks, check_packing
from tasks.model.quiet import quiet_transformers
from tasks.model.vocabulary import Extension, compare_vocabularies, extend_vocabulary, num_rows
from tasks.tokenizer.files import special_ids

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

log = logging.getLogger(__name__)
_NO_LIMIT = ("t5", "mt5", "umt5", "bloom", "mpt")
"""Architectures whose positions are relative: any context will do."""
_LEARNED = ("gpt2", "opt", "gpt_neo", "gpt_bigcode", "bart", "mbart", "biogpt", "xglm", "openai-gpt")
"""Architectures with a table of positions, which ends."""
_SHOWN = 6


def load_model(
    folder: Path, *, tokenizer: Path, context: int, multiple: int | None, seed: int
) -> "tuple[PreTrainedModel, Extension]":
    """A model from a folder that `resolve_weights` gave, and what our tokenizer added to its vocabulary.

    Raises ParameterError where the blocks are longer than its positions reach, where tensors are missing or have
    another shape than its configuration says, where the tokenizer gives its tokens other ids, and where the
    architecture cannot keep the documents of a block apart.
    """
    import torch

    config = check_fit(folder, context=context)
    ids = special_ids(tokenizer)
    model, _ = _load(folder, config)
    extension = compare_vocabularies(folder, tokenizer, rows=num_rows(model), ids=ids, end=config.eos_token_id)
    extend_vocabulary(model, extension, vocab_size=ids.vocab_size, multiple=multiple, seed=seed)
    for owner in (model.config, model.generation_config):
        owner.bos_token_id, owner.pad_token_id = ids.begin, ids.padding
    model.generation_config.eos_token_id = _ends(model.generation_config.eos_token_id, ids.end)
    model.config.eos_token_id = ids.end
    accept_packed_blocks(model)
    check_packing(model)
    torch.manual_seed(seed)  # whatever loading drew: the random state goes into checkpoints
    return model, extension


def check_fit(folder: Path, *, context: int) -> "PretrainedConfig":
    """The configuration as it is trained; raises ParameterError when blocks of `context` tokens are too long for it."""
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if (limit := _reach(config)) is not None and context > limit[0]:
        raise ParameterError(
            f"shard.context: blocks of {context} tokens are longer than the {limit[0]} positions of {folder} "
            f"({config.model_type}: {limit[1]}); set shard.context to {limit[0]} or less"
        )
    for name, value in config.to_dict().items():
        if isinstance(value, float) and ("dropout" in name or name.endswith("_pdrop")):
            setattr(config, name, 0.0)
    if hasattr(config, "auto_map"):
        del config.auto_map  # the model that is left has none of that code beside it
    checked: PretrainedConfig = config
    return checked


def check_weights(folder: Path, *, tokenizer: Path, context: int) -> tuple[str, Extension]:
    """What `load_model` will find, without reading the weights: the architecture, and the tokens that are new.

    Raises ParameterError as `load_model` does; tensors without a place in the class are told.
    """
    config = check_fit(folder, context=context)
    model, found = _load(folder, config, device="meta")
    tell_left_out(found, folder, type(model).__name__)
    ids = special_ids(tokenizer)
    extension = compare_vocabularies(folder, tokenizer, rows=num_rows(model), ids=ids, end=config.eos_token_id)
    return str(config.model_type), extension


def check_complete(found: Mapping[str, Any], source: Path, kind: str) -> None:
    """Judge what transformers says of loading `source`: ParameterError unless every tensor has its values."""
    if wrong := sorted(found["mismatched_keys"]):
        name, stored, wanted = wrong[0]
        raise ParameterError(
            f"{FIELD}: {len(wrong)} tensors of {source} have another shape than its configuration says, such as "
            f"{name}: {tuple(stored)} instead of {tuple(wanted)}; the configuration belongs to other weights"
        )
    if missing := sorted(found["missing_keys"]):
        raise ParameterError(
            f"{FIELD}: {source} lacks {len(missing)} tensors of a {kind}: {', '.join(missing[:_SHOWN])}"
            "; they would start at random. Take the whole model, or the configuration that belongs to it"
        )


def tell_left_out(found: Mapping[str, Any], source: Path, kind: str) -> None:
    """Say which tensors have no place in the class."""
    if extra := sorted(found["unexpected_keys"]):
        log.warning(
            "%s: %d tensors have no place in %s and are left out: %s",
            source,
            len(extra),
            kind,
            ", ".join(extra[:_SHOWN]),
        )


def _load(
    folder: Path, config: "PretrainedConfig", *, device: str | None = None
) -> "tuple[PreTrainedModel, dict[str, Any]]":
    """The model and what transformers says of loading it; on the device `meta` nothing is read but names and shapes."""
    import torch

    with quiet_transformers():
        model, found = model_class(config).from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            device_map=device,
            attn_implementation=attention_of(config),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # told below, all of them at once
            output_loading_info=True,
        )
    check_complete(found, folder, type(model).__name__)
    return model.train(), found


def _reach(config: Any) -> tuple[int, str] | None:
    """The longest block that a model can learn from as it will be used, and why; None for any length."""
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None)
    kinds = getattr(text, "layer_types", None) or ["sliding_attention"]
    if isinstance(window, int) and any("sliding" in kind for kind in kinds):
        return window, "it looks no further back, and the mask of documents would let it"
    positions = getattr(text, "max_position_embeddings", None)
    if config.model_type in _NO_LIMIT or not isinstance(positions, int):
        return None
    learned = config.model_type in _LEARNED
    return positions, "it has learned no further positions" if learned else "its rotations were learned so far"


def _ends(theirs: Any, ours: int) -> Any:
    """What ends a generated text: ours, and what the weights have learned to end a turn with."""
    known = theirs if isinstance(theirs, list) else [] if theirs is None else [theirs]
    ends = sorted({*known, ours})
    return ends if len(ends) > 1 else ends[0]
