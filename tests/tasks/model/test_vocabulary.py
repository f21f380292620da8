"""A tokenizer beside existing weights: it must match, and what it adds gets sensible rows."""

import json
import shutil

import pytest
import torch
from tokenizers import Tokenizer

from params.errors import ParameterError
from tasks.model.vocabulary import Extension, compare_vocabularies, extend_vocabulary
from tasks.tokenizer.files import special_ids


def compare(bench, weights, tokenizer):
    rows = bench.vocab_size(weights) if (weights / "tokenizer.json").exists() else 300
    return compare_vocabularies(weights, tokenizer, rows=rows, ids=special_ids(tokenizer), end=0)


def test_the_same_vocabulary_adds_nothing(bench, weights, tokenizer):
    assert compare(bench, weights(), tokenizer) == Extension((), {})


def test_what_is_added_is_spelled_in_old_tokens(bench, weights, tokenizer, larger_tokenizer):
    old = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    extension = compare(bench, weights(), larger_tokenizer)
    first = bench.vocab_size(tokenizer)
    assert extension.new == (first, first + 1, first + 2)
    spelled = [old.decode(list(extension.pieces[index]), skip_special_tokens=False) for index in extension.new]
    assert spelled == [" windmill", "月光曲", "<|im_start|>"]


def test_another_vocabulary_is_refused_with_examples_and_the_remedy(bench, weights, tokenizer, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tokenizer, other)
    data = json.loads((other / "tokenizer.json").read_text())
    ids = data["model"]["vocab"]
    ids["a"], ids["b"] = ids["b"], ids["a"]
    (other / "tokenizer.json").write_text(json.dumps(data))
    folder = weights()
    with pytest.raises(
        ParameterError, match=r"2 of the \d+ tokens of .* have another id .*'a' is \d+ there and"
    ) as raised:
        compare(bench, folder, other)
    assert f"set train_tokenizer.from_path to {folder}" in str(raised.value)


def test_a_smaller_vocabulary_is_refused(bench, weights, larger_tokenizer, tokenizer):
    folder = weights()
    shutil.copyfile(larger_tokenizer / "tokenizer.json", folder / "tokenizer.json")
    with pytest.raises(ParameterError, match=r"3 of the .*\(' windmill' is \d+ there and None here"):
        compare(bench, folder, tokenizer)


def test_without_the_weights_tokenizer_their_end_of_text_must_be_special_here(bench, weights, tokenizer):
    folder = weights()
    (folder / "tokenizer.json").unlink()
    ids = special_ids(tokenizer)
    assert compare(bench, folder, tokenizer).new == tuple(range(300, ids.vocab_size))
    letter = Tokenizer.from_file(str(tokenizer / "tokenizer.json")).token_to_id("a")
    with pytest.raises(
        ParameterError, match=f"ends texts with token {letter} of 300, which is 'a' in the tokenizer of"
    ):
        compare_vocabularies(folder, tokenizer, rows=300, ids=ids, end=[letter])
    assert compare_vocabularies(folder, tokenizer, rows=300, ids=ids, end=[letter, 0]).pieces == {}


@pytest.mark.parametrize("architecture", ["qwen3", "llama", "gpt2", "bloom", "t5"])
@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_are_the_mean_of_their_pieces_at_their_length(bench, architecture, tied):
    model = bench.model(architecture, vocab_size=310, tie_embeddings=tied or architecture == "t5")
    before = [table.weight.detach().clone() for table in (model.get_input_embeddings(), model.get_output_embeddings())]
    ids = bench.ids()
    logits = bench.logits(model, ids)
    extend_vocabulary(model, Extension((310, 311), {310: [5, 6, 7]}), vocab_size=312, multiple=None, seed=1)
    for table, old in zip((model.get_input_embeddings(), model.get_output_embeddings()), before, strict=True):
        assert torch.equal(table.weight[:310], old)
        mean = (old[5] + old[6] + old[7]) / 3
        length = (old[5].norm() + old[6].norm() + old[7].norm()) / 3
        torch.testing.assert_close(table.weight[310].detach(), mean * length / mean.norm())
        torch.testing.assert_close(table.weight[311].detach(), old.mean(dim=0), atol=1e-4, rtol=0)
        assert not torch.equal(table.weight[311], old.mean(dim=0))
    is_tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert is_tied == (tied or architecture == "t5")
    torch.testing.assert_close(bench.logits(model, ids)[..., :310], logits)


def test_a_token_in_a_gap_of_the_vocabulary_may_be_spelled_by_tokens_after_it(bench):
    model = bench.model("qwen3", vocab_size=310)
    old = model.get_input_embeddings().weight.detach().clone()
    extend_vocabulary(model, Extension((100,), {100: [200]}), vocab_size=310, multiple=None, seed=1)
    torch.testing.assert_close(model.get_input_embeddings().weight[100].detach(), old[200])


def test_the_spread_of_unknown_tokens_is_a_billionth_of_the_covariance(bench):
    """As transformers' mean_resizing draws them: the covariance of the rows, times 1e-9."""
    model = bench.model("qwen3", vocab_size=310)
    old = model.get_input_embeddings().weight.detach().double()
    extend_vocabulary(model, Extension((), {}), vocab_size=20_310, multiple=None, seed=1)
    drawn = model.get_input_embeddings().weight.detach()[310:].double() - old.mean(dim=0)
    expected = 1e-9 * torch.cov(old.T, correction=0)
    torch.testing.assert_close(torch.cov(drawn.T), expected, rtol=0, atol=float(expected.abs().max()) * 0.1)


def test_rows_are_filled_up_to_a_multiple_and_the_configuration_knows(bench):
    model = bench.model("llama", vocab_size=310, tie_embeddings=False)
    extend_vocabulary(model, Extension((), {}), vocab_size=310, multiple=64, seed=1)
    assert model.config.vocab_size == 320
    assert model.get_output_embeddings().weight.shape[0] == model.get_input_embeddings().weight.shape[0] == 320


def test_the_same_seed_gives_the_same_rows_and_leaves_the_random_state_alone(bench):
    rows = []
    for _ in range(2):
        model = bench.model("qwen3", vocab_size=310)
        torch.manual_seed(5)
        extend_vocabulary(model, Extension((310,), {}), vocab_size=311, multiple=None, seed=1)
        rows.append((model.get_input_embeddings().weight[310].detach().clone(), torch.rand(1)))
    assert torch.equal(rows[0][0], rows[1][0])
    torch.manual_seed(5)
    assert torch.equal(rows[0][1], torch.rand(1))


def test_a_tokenizer_smaller_than_the_rows_leaves_them(bench):
    model = bench.model("qwen3", vocab_size=320)
    before = model.get_input_embeddings().weight.detach().clone()
    extend_vocabulary(model, Extension((), {}), vocab_size=310, multiple=None, seed=1)
    assert torch.equal(model.get_input_embeddings().weight, before)
