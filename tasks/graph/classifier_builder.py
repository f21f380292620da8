"""Child process: the float32 graph of a classifier by torch's exporter: tokens and mask to the logits of the labels."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from tasks.graph.torch_builder import forget_source
from tasks.model.packing import accept_packed_blocks
from tasks.training.parent import die_with_parent

_BATCH, _LENGTH = 2, 5
"""Sizes of the example inputs; neither is 1, which torch.export would take for a constant."""
_AXES = {0: "batch_size", 1: "sequence_length"}


class LastToken(nn.Module):
    """The head of labels on the last token of each row; rows are padded on the right."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.body, self.score = model.base_model, model.score

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (batch, labels)."""
        length = input_ids.shape[1]
        places = torch.arange(length)
        visible = (places[None, :] <= places[:, None])[None, None] & (attention_mask[:, None, None, :] > 0)
        bias = torch.where(visible, 0.0, torch.finfo(torch.float32).min)  # finite, so that a padded row gives no NaN
        hidden: Tensor = self.body(
            input_ids=input_ids,
            attention_mask=bias,
            position_ids=places[None, :].expand(input_ids.shape[0], -1),
            use_cache=False,
        ).last_hidden_state
        last = (attention_mask.sum(dim=1) - 1)[:, None, None].expand(-1, 1, hidden.shape[2])
        logits: Tensor = self.score(torch.gather(hidden, 1, last)[:, 0])
        return logits


def main(model_folder: str, out: str, opset: int) -> None:
    """Export a transformers folder."""
    kind: Any = AutoModelForSequenceClassification
    model: Any = kind.from_pretrained(model_folder, dtype=torch.float32, attn_implementation="eager")
    accept_packed_blocks(model)
    tokens = torch.zeros(_BATCH, _LENGTH, dtype=torch.int64)
    with torch.no_grad():
        program: Any = torch.onnx.export(
            LastToken(model).eval(),
            (tokens, torch.ones_like(tokens)),
            dynamo=True,
            opset_version=opset,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes=(_AXES, _AXES),
        )
    forget_source(program.model)
    program.save(str(Path(out) / "model.onnx"), external_data=True)


if __name__ == "__main__":
    die_with_parent()
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
