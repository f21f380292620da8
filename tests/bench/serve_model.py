"""Child process of bench_serve.py: the int8 graph of a Qwen3 model with random weights, ready to serve."""

import json
import pydoc_data.topics
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from params.compress import CompressParams
from tasks.compression.quantize import quantize_graph
from tasks.graph.build import build_graph
from tasks.graph.served import copy_companions, write_companions
from tasks.tokenizer.files import save_tokenizer
from tasks.tokenizer.special import DEFAULT_TOKENS

VOCABULARY, CONTEXT = 4096, 1024
NEVER = -1
"""No token has this id, so no text ends before its budget."""


def main(folder: Path, shape: dict[str, int]) -> None:
    model, fp32, int8 = (folder / name for name in ("model", "fp32", "int8"))
    make_tokenizer(model)
    make_weights(model, shape)
    build_graph(model, fp32, opset=21, log_path=folder / "build.log")
    write_companions(model, fp32, context=CONTEXT)
    quantize_graph(fp32, int8, bits=8, block_size=CompressParams().block_size, vocab_size=VOCABULARY)
    copy_companions(fp32, int8)
    settings = json.loads((int8 / "generation.json").read_text())
    (int8 / "generation.json").write_text(json.dumps(settings | {"eos_token_id": NEVER}))


def make_tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - 2, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(pydoc_data.topics.topics.values(), trainer)
    save_tokenizer(tokenizer, DEFAULT_TOKENS, folder, chat_template=None)


def make_weights(folder: Path, shape: dict[str, int]) -> None:
    torch.manual_seed(0)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    special: dict[str, Any] = {"bos_token_id": VOCABULARY - 2, "eos_token_id": VOCABULARY - 2}
    config = transformers.Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=shape["width"],
        intermediate_size=shape["width"] * 8 // 3,
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["heads"],
        head_dim=64,
        max_position_embeddings=CONTEXT,
        pad_token_id=VOCABULARY - 1,
        **special,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
