"""GPTQ on a model that has really learned a little: what four bits cost on text that nothing has seen before."""

import json
import pydoc_data.topics

import numpy as np
import pytest
import torch
from torch.nn import functional

from tasks.compression.quality import measure_quality
from tasks.compression.quantize import quantize_graph
from tasks.graph.build import build_graph
from tasks.graph.served import copy_companions, write_companions
from tasks.serving.generator import OnnxModel

CONTEXT, WIDTH, VOCABULARY, STEPS, BEGIN, PADDING = 64, 128, 512, 150, "<|endoftext|>", "<|pad|>"


def make_tokenizer(folder, texts):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet, special = pre_tokenizers.ByteLevel.alphabet(), [BEGIN, PADDING]
    trainer = {"vocab_size": VOCABULARY, "special_tokens": special, "initial_alphabet": alphabet}
    made.train_from_iterator(texts, trainers.BpeTrainer(**trainer, show_progress=False))
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    names = {"bos_token": BEGIN, "eos_token": BEGIN, "pad_token": PADDING}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"} | names))
    return made


def blocks_of(tokenizer, texts):
    stream = np.array([token for text in texts for token in (0, *tokenizer.encode(text).ids)])
    count = (len(stream) - 1) // CONTEXT
    return np.stack([stream[at * CONTEXT : (at + 1) * CONTEXT + 1] for at in range(count)])


def train(folder, blocks):
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": WIDTH, "intermediate_size": 3 * WIDTH, "num_hidden_layers": 3, "head_dim": 32}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT}
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=VOCABULARY, tie_word_embeddings=True, pad_token_id=1, **shape))
    model.config.bos_token_id = model.config.eos_token_id = 0
    optimizer, random = torch.optim.AdamW(model.parameters(), lr=3e-3), np.random.default_rng(0)
    for _ in range(STEPS):
        batch = torch.tensor(blocks[random.integers(0, len(blocks), 16)])
        logits = model(input_ids=batch[:, :-1]).logits
        functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)


@pytest.mark.slow  # trains half a million parameters for 150 steps: most of a minute
def test_four_bits_cost_less_on_held_out_text_by_gptq_than_rounded_to_the_nearest(tmp_path):
    texts = list(pydoc_data.topics.topics.values())
    tokenizer = make_tokenizer(tmp_path / "model", texts)
    seen, held_out = (blocks_of(tokenizer, part) for part in ([t for n, t in enumerate(texts) if n % 8], texts[::8]))
    train(tmp_path / "model", seen)
    graph = tmp_path / "fp32"
    build_graph(tmp_path / "model", graph, opset=21, log_path=tmp_path / "export.log")
    write_companions(tmp_path / "model", graph, context=CONTEXT)
    calibration = seen[:: len(seen) // 64][:64, :-1].tolist()
    for name, blocks in (("nearest", []), ("gptq", calibration)):
        settings = {"bits": 4, "block_size": 128, "vocab_size": VOCABULARY}
        quantize_graph(graph, tmp_path / name, **settings, calibration=blocks)
        copy_companions(graph, tmp_path / name)
    models = {name: OnnxModel(tmp_path / name) for name in ("fp32", "nearest", "gptq")}
    quality = measure_quality(models, held_out[:60].tolist(), greedy_tokens=1)
    assert quality["fp32"].loss < 4.6  # of the 6.2 of a model that knows nothing
    assert 0 < quality["gptq"].loss_increase < 0.9 * quality["nearest"].loss_increase
    assert quality["gptq"].kl < 0.9 * quality["nearest"].kl
