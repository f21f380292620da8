"""Packed blocks to tensors, documents kept apart."""

import numpy as np
import torch

from params.train import ModelParams
from tasks.model.build import build_model
from tasks.training.batch import IGNORED, make_batch, num_targets
from tasks.training.objective import token_losses

BEGIN, PADDING = 0, 1
CPU = torch.device("cpu")
BLOCK = np.array([[5, 6, BEGIN, 7, 8, 9, BEGIN, 4, PADDING]])


def test_positions_restart_and_the_mask_stays_within_documents():
    batch = make_batch(BLOCK, begin=BEGIN, padding=PADDING, device=CPU)
    assert batch.positions.tolist() == [[0, 1, 0, 1, 2, 3, 0, 1]]
    visible = [np.flatnonzero(row).tolist() for row in batch.mask[0, 0].numpy()]
    assert visible == [[0], [0, 1], [2], [2, 3], [2, 3, 4], [2, 3, 4, 5], [6], [6, 7]]


def test_the_end_of_text_is_a_target_and_padding_is_not():
    batch = make_batch(BLOCK, begin=BEGIN, padding=PADDING, device=CPU)
    assert batch.targets.tolist() == [[6, BEGIN, 7, 8, 9, BEGIN, 4, IGNORED]]
    assert num_targets(BLOCK, PADDING) == 7


def test_a_document_in_a_packed_block_has_the_losses_it_has_alone():
    for architecture in ("qwen3", "llama", "gpt2"):
        params = ModelParams(architecture=architecture, layers=2, width=32, heads=2)
        model = build_model(params, vocab_size=16, context=8, begin=BEGIN, end=BEGIN, padding=PADDING, seed=3)
        with torch.no_grad():
            for parameter in model.parameters():  # zero output projections would hide attention across documents
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
            packed = token_losses(model, make_batch(BLOCK, begin=BEGIN, padding=PADDING, device=CPU))
            alone = token_losses(model, make_batch(BLOCK[:, 2:7], begin=BEGIN, padding=PADDING, device=CPU))
        torch.testing.assert_close(packed[:, 2:6], alone, rtol=1e-5, atol=1e-5)
