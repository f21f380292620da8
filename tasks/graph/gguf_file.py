"""GGUF, the file of llama.cpp and Ollama: weights, tokenizer and settings in one, and the way back as proof."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from params.errors import ExportError
from tasks.model.files import first_line
from tasks.model.quiet import quiet_transformers
from tasks.tokenizer.files import TEMPLATE, TOKENIZER, load_tokenizer, special_ids

if TYPE_CHECKING:
    from gguf import GGUFWriter

ARCHITECTURES = ("qwen3", "llama", "gpt2")
"""Model types that both llama.cpp and transformers' reader know."""
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
_QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CONV1D = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
Array = npt.NDArray[Any]


def write_gguf(model: Any, folder: Path, path: Path) -> None:
    """Write a causal model in float32 with the tokenizer of `folder`.

    Raises ExportError for an architecture or a tokenizer that llama.cpp does not know.
    """
    import gguf

    config = model.config
    if config.model_type not in ARCHITECTURES:
        raise ExportError(
            f"export.formats: gguf is written for {', '.join(ARCHITECTURES)}, not for {config.model_type}; leave it out"
        )
    words = word_splitter(folder)
    writer = gguf.GGUFWriter(path, config.model_type)
    _add_settings(writer, config)
    _add_tokenizer(writer, folder, words)
    kind = next(kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == config.model_type)
    names = gguf.get_tensor_name_map(kind, config.num_hidden_layers)
    for name, parameter in model.named_parameters():  # a tied matrix comes once, as llama.cpp wants it
        there = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert there is not None, f"{name} has no name in GGUF"
        writer.add_tensor(there, np.ascontiguousarray(_laid_out(name, parameter.detach().numpy(), config)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_gguf(path: Path, like: Any) -> Any:
    """The model of a file as transformers reads it, with the configuration of the one it was made of."""
    import io
    from contextlib import redirect_stderr

    import torch
    from transformers import GgufConfig

    from tasks.model.build import model_class

    with quiet_transformers(), redirect_stderr(io.StringIO()):  # the bar of de-quantizing has no switch
        try:
            model = model_class(like.config).from_pretrained(
                path.parent,
                gguf_file=path.name,
                config=like.config,
                dtype=torch.float32,
                attn_implementation="eager",
                quantization_config=GgufConfig(dequantize=True),
                local_files_only=True,
            )
        except (ValueError, KeyError, RuntimeError) as error:
            raise ExportError(f"{path}: transformers cannot read the file back ({first_line(error)})") from None
    return model.eval()


def word_splitter(folder: Path) -> str:
    """What llama.cpp calls the way in which a tokenizer cuts text into words; ExportError where it knows none like it.

    Its names stand for patterns in its source (llama-vocab.cpp): a wrong one gives other tokens without a word.
    """
    stored = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))
    kind, splitter = stored["model"]["type"], stored["pre_tokenizer"] or {}
    parts = splitter.get("pretokenizers", [splitter])
    patterns = [part["pattern"].get("Regex") for part in parts if part.get("type") == "Split"]
    plain = [part for part in parts if part.get("type") == "ByteLevel" and not part["add_prefix_space"]]
    if kind == "BPE" and stored["normalizer"] is None and len(plain) == 1:
        if patterns == [_QWEN_WORDS] and not plain[0]["use_regex"]:
            return "qwen35"
        if not patterns and plain[0]["use_regex"]:
            return "gpt-2"
    raise ExportError(
        f"export.formats: llama.cpp cuts text into words in other ways than this tokenizer ({kind}); gguf takes "
        "train_tokenizer.model: bpe with digits: single, or leave gguf out"
    )


def _add_settings(writer: "GGUFWriter", config: Any) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    if config.model_type == "gpt2":
        writer.add_feed_forward_length(config.n_inner or 4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def _add_tokenizer(writer: "GGUFWriter", folder: Path, words: str) -> None:
    tokenizer, ids = load_tokenizer(folder), special_ids(folder)
    spelled = {index: token for token, index in tokenizer.get_vocab(with_added_tokens=True).items()}
    added = tokenizer.get_added_tokens_decoder()
    tokens = [spelled.get(index, f"[PAD{index}]") for index in range(ids.vocab_size)]
    kinds = [
        NORMAL if index not in added else CONTROL if added[index].special else USER_DEFINED
        for index in range(ids.vocab_size)
    ]
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(words)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in merges])
    writer.add_bos_token_id(ids.begin)
    writer.add_eos_token_id(ids.end)
    writer.add_pad_token_id(ids.padding)
    writer.add_add_bos_token(True)
    if (folder / TEMPLATE).exists():
        writer.add_chat_template((folder / TEMPLATE).read_text(encoding="utf-8"))


def _laid_out(name: str, values: Array, config: Any) -> Array:
    """A tensor as llama.cpp keeps it: GPT-2's the other way round, LLaMA's heads with rotated pairs side by side."""
    if config.model_type == "gpt2" and name.endswith(_CONV1D):
        return values.T
    if config.model_type == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
        is_query = name.endswith("q_proj.weight")
        heads = config.num_attention_heads if is_query else config.num_key_value_heads
        return values.reshape(heads, 2, len(values) // heads // 2, -1).swapaxes(1, 2).reshape(values.shape)
    return values
