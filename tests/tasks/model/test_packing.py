"""Packed blocks through BLOOM, whose own forward pass takes no mask of documents."""

import numpy as np
import torch

from tasks.training.batch import make_batch
from tasks.training.objective import token_losses

CPU = torch.device("cpu")


def test_a_document_in_a_packed_block_has_the_losses_it_has_alone(bench):
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
