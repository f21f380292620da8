"""Packed blocks: documents stay apart in every architecture, or it is refused."""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from params.errors import ParameterError
from tasks.model.packing import accept_packed_blocks, check_packing
from tasks.training.batch import make_batch
from tasks.training.objective import token_losses

CPU = torch.device("cpu")


def test_a_document_of_bloom_in_a_packed_block_has_the_losses_it_has_alone(bench):
    block = np.array([[5, 6, 0, 7, 8, 9, 0, 4, 1]])
    model = bench.model("bloom")
    with torch.no_grad():
        packed = token_losses(model, make_batch(block, begin=0, padding=1, device=CPU))
        alone = token_losses(model, make_batch(block[:, 2:7], begin=0, padding=1, device=CPU))
        first = token_losses(model, make_batch(block[:, :3], begin=0, padding=1, device=CPU))
    torch.testing.assert_close(packed[:, 2:6], alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(packed[:, :2], first, rtol=1e-5, atol=1e-5)


def test_a_mask_of_padding_means_what_it_means_without_us(bench, tmp_path):
    model, ids = bench.model("bloom"), bench.ids()
    model.save_pretrained(tmp_path)
    mask = torch.ones_like(ids)
    mask[:, :3] = 0
    ours, theirs = (m(input_ids=ids, attention_mask=mask).logits for m in (model, bench.load(tmp_path)))
    assert torch.equal(ours[:, 3:], theirs[:, 3:])


def tiny(architecture: str, **sizes) -> torch.nn.Module:
    """A model of an architecture that we do not build ourselves."""
    shared = {
        "vocab_size": 50,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "pad_token_id": 0,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **shared, **sizes))


@pytest.mark.parametrize(
    ("architecture", "sizes"),
    [("mistral", {}), ("gemma2", {"head_dim": 8}), ("gpt_neox", {}), ("olmo2", {}), ("mpt", {"d_model": 32})],
)
def test_the_documents_of_a_block_stay_apart_in_other_architectures(architecture, sizes):
    model = tiny(architecture, **sizes).train()
    accept_packed_blocks(model)
    check_packing(model)
    assert model.training


def test_plain_attention_without_help_is_caught():
    """It would add the mask to its scores, True as 1, and see everything."""
    with pytest.raises(ParameterError, match="cannot keep the documents of a block apart"):
        check_packing(tiny("gemma2", head_dim=8))


def test_a_recurrent_architecture_is_refused():
    model = tiny("mamba", state_size=4)
    accept_packed_blocks(model)
    with pytest.raises(
        ParameterError, match=r"MambaForCausalLM cannot keep the documents .*; choose an architecture with"
    ):
        check_packing(model)
