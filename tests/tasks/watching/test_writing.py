"""Samples of a model in training: repeatable, and without a trace in what is trained."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from params.train import ModelParams
from params.watch import SamplesParams
from tasks.model.build import build_model
from tasks.tokenizer.files import save_tokenizer
from tasks.tokenizer.special import SpecialTokens
from tasks.watching.writing import Script, sample_texts

CONTEXT = 24
PARAMS = SamplesParams(prompts=("The mill ", "", "今天天气"), max_tokens=8)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Script:
    """A byte-level vocabulary."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["The miller grinds the corn."], trainer)
    save_tokenizer(tokenizer, SpecialTokens(), folder, chat_template=None)
    return Script.load(folder)


@pytest.fixture(params=["qwen3", "gpt2"])
def model(request: pytest.FixtureRequest, script: Script):
    params = ModelParams(architecture=request.param, layers=2, width=32, heads=2)
    ids = {"begin": script.begin, "end": script.end, "padding": script.begin}
    built = build_model(params, vocab_size=320, context=CONTEXT, **ids, seed=3)
    with torch.no_grad():  # weights as after some training: no two tokens are equally likely
        for parameter in built.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return built.train()


def greedy_without_a_cache(model, script: Script, prompt: str, num: int) -> list[int]:
    """The reference: the whole text read again for each token."""
    ids = [script.begin, *script.tokenizer.encode(prompt, add_special_tokens=False).ids]
    model.eval()
    start = len(ids)
    with torch.no_grad():
        while len(ids) < start + num:
            token = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
            if token == script.end:
                break
            ids.append(token)
    model.train()
    return ids[start:]


def test_greedy_is_what_reading_the_whole_text_each_time_gives(model, script: Script):
    written = sample_texts(model, script, PARAMS, context=CONTEXT)
    assert [(sample["prompt"], sample["kind"]) for sample in written] == [
        (prompt, kind) for prompt in PARAMS.prompts for kind in ("greedy", "drawn")
    ]
    for sample in written[::2]:
        expected = greedy_without_a_cache(model, script, sample["prompt"], 8)
        assert sample["text"] == script.tokenizer.decode(expected, skip_special_tokens=True)
        assert sample["num_tokens"] == len(expected) <= 8


def test_the_same_seed_writes_the_same_and_another_seed_something_else(model, script: Script):
    first = sample_texts(model, script, PARAMS, context=CONTEXT)
    torch.manual_seed(99)
    assert sample_texts(model, script, PARAMS, context=CONTEXT) == first
    other = sample_texts(model, script, PARAMS.model_copy(update={"seed": 1}), context=CONTEXT)
    assert other[::2] == first[::2]
    assert other[1::2] != first[1::2]


def test_nothing_that_training_depends_on_is_touched(model, script: Script):
    loss = model(input_ids=torch.tensor([[1, 2, 3]])).logits.sum()
    loss.backward()
    before = torch.get_rng_state()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    sample_texts(model, script, PARAMS, context=CONTEXT)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    after = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    assert after.keys() == gradients.keys()
    assert all(torch.equal(value, gradients[name]) for name, value in after.items())


def test_a_prompt_longer_than_the_context_is_cut_at_its_beginning(model, script: Script):
    params = SamplesParams(prompts=("a long prompt " * 20,), max_tokens=1000)
    for sample in sample_texts(model, script, params, context=CONTEXT):
        assert sample["num_tokens"] <= CONTEXT - 1


def test_a_model_whose_weights_are_nan_writes_nothing(model, script: Script):
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    assert {sample["text"] for sample in sample_texts(model, script, PARAMS, context=CONTEXT)} == {""}


def test_a_sequence_to_sequence_model_writes_too(script: Script, tmp_path: Path):
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=320, d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2, decoder_start_token_id=script.begin
    )
    written = sample_texts(T5ForConditionalGeneration(config), script, PARAMS, context=CONTEXT)
    assert len(written) == 6
    assert max(sample["num_tokens"] for sample in written) <= 8
