"""Adapters: added, learned, resumed, kept and merged."""

import json

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedModel

from params.errors import ParameterError
from params.model import LoraParams
from tasks.model.build import hidden_matrices
from tasks.model.lora import add_adapter, learned_parameters, merge_adapter, save_adapter

# peft 0.21 reads a property that transformers 5.24 has renamed, here where the tests load with peft themselves
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
ARCHITECTURES = ("qwen3", "llama", "gpt2", "bloom", "t5")


def adapted(bench, architecture="qwen3", *, new_tokens=(), seed=3, **lora):
    model = bench.model(architecture)
    return model, add_adapter(model, LoraParams(rank=4, **lora), base="acme/mill", new_tokens=new_tokens, seed=seed)


def learn(bench, model, steps=3):
    optimizer = torch.optim.AdamW(learned_parameters(model).values(), lr=1e-2)
    for _ in range(steps):
        bench.logits(model.train(), bench.ids()).logsumexp(-1).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("lora", [{}, {"rslora": True}, {"dora": True}])
def test_an_adapter_learns_alone_and_merges_into_a_plain_model(bench, tmp_path, architecture, lora):
    before = bench.logits(bench.model(architecture), bench.ids())
    model, adapter = adapted(bench, architecture, **lora)
    frozen = {name: value.clone() for name, value in model.named_parameters() if not value.requires_grad}
    torch.testing.assert_close(bench.logits(model, bench.ids()), before, rtol=1e-5, atol=1e-5)
    learn(bench, model)
    assert all(torch.equal(model.get_parameter(name), value) for name, value in frozen.items())
    learned = bench.logits(model, bench.ids())
    assert (learned - before).abs().max() > 0.1
    save_adapter(adapter, tmp_path / "adapter")
    merged = merge_adapter(adapter)
    assert isinstance(merged, PreTrainedModel)
    assert not isinstance(merged, PeftModel)
    torch.testing.assert_close(bench.logits(merged, bench.ids()), learned, rtol=1e-4, atol=1e-4)
    merged.save_pretrained(tmp_path / "model")
    torch.testing.assert_close(bench.logits(bench.load(tmp_path / "model"), bench.ids()), learned, rtol=1e-4, atol=1e-4)
    loaded = bench.load(tmp_path / "model").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in merged.state_dict().items())


def test_a_kept_adapter_loads_onto_its_base_with_peft(bench, tmp_path):
    model, adapter = adapted(bench)
    learn(bench, model)
    learned = bench.logits(model, bench.ids())
    save_adapter(adapter, tmp_path)
    again = PeftModel.from_pretrained(bench.model("qwen3"), tmp_path).eval()
    assert torch.equal(again(input_ids=bench.ids()).logits, learned)


def test_the_files_of_an_adapter_are_the_same_bytes_and_name_no_place(bench, tmp_path):
    for name in ("first", "second"):
        save_adapter(adapted(bench, target_modules=("q_proj", "v_proj", "up_proj"))[1], tmp_path / name)
    files = [sorted((tmp_path / name).iterdir()) for name in ("first", "second")]
    assert [path.name for path in files[0]] == ["adapter_config.json", "adapter_model.safetensors"]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    config = json.loads(files[0][0].read_text())
    assert config["base_model_name_or_path"] == "acme/mill"
    assert config["target_modules"] == ["q_proj", "up_proj", "v_proj"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_by_default_every_linear_layer_but_the_head_gets_an_adapter(bench, architecture):
    matrices = hidden_matrices(bench.model(architecture))
    model, _ = adapted(bench, architecture)
    layers = {name.partition(".lora_")[0] for name in learned_parameters(model)}
    assert layers == {name.removesuffix(".weight") for name in matrices}
    assert hidden_matrices(model) == {}  # factors are for AdamW


def test_layers_that_the_model_has_not_are_refused_with_those_it_has(bench):
    with pytest.raises(
        ParameterError, match="query is no linear layer of Qwen3ForCausalLM; it has down_proj, gate_proj"
    ):
        adapted(bench, target_modules=("q_proj", "query"))


def test_learning_goes_on_from_the_adapter_alone(bench):
    model, _ = adapted(bench)
    learn(bench, model)
    kept = {name: value.detach().clone() for name, value in learned_parameters(model).items()}
    again, _ = adapted(bench, seed=9)
    with torch.no_grad():
        for name, parameter in learned_parameters(again).items():
            parameter.copy_(kept[name])
    assert torch.equal(bench.logits(again.eval(), bench.ids()), bench.logits(model, bench.ids()))


def tables_of(model):
    return model.get_input_embeddings().weight, model.get_output_embeddings().weight


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("tied", [True, False])
def test_rows_of_new_tokens_learn_beside_the_adapter_and_are_merged(bench, tmp_path, architecture, tied):
    tied = tied or architecture == "t5"
    model = bench.model(architecture, tie_embeddings=tied)
    old = [table.detach().clone() for table in tables_of(model)]
    adapter = add_adapter(model, LoraParams(rank=4), base="acme/mill", new_tokens=(308, 309), seed=3)
    ids = bench.ids()
    ids[:, 3] = 309
    optimizer = torch.optim.AdamW(learned_parameters(model).values(), lr=1e-2)
    bench.logits(model.train(), ids).logsumexp(-1).sum().backward()
    optimizer.step()
    learned = bench.logits(model.eval(), ids)
    save_adapter(adapter, tmp_path / "adapter")
    merged = merge_adapter(adapter)
    for table, before in zip(tables_of(merged), old, strict=True):
        assert torch.equal(table[:308], before[:308])
        assert not torch.equal(table[309], before[309])
    merged.save_pretrained(tmp_path / "model")
    loaded = bench.load(tmp_path / "model")
    torch.testing.assert_close(bench.logits(loaded, ids), learned, rtol=1e-4, atol=1e-4)
    assert (loaded.get_input_embeddings().weight is loaded.get_output_embeddings().weight) == tied
    base = bench.model(architecture, tie_embeddings=tied)
    assert torch.equal(bench.logits(PeftModel.from_pretrained(base, tmp_path / "adapter").eval(), ids), learned)


def test_the_same_seed_gives_the_same_adapter(bench):
    first, again, other = (dict(learned_parameters(adapted(bench, seed=seed)[0])) for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
