"""The other sides of bench_train.py, one run a process: transformers' Trainer, or a bare PyTorch loop.

    python tests/bench/train_peer.py '{"kind": "trainer", …}'

Every side sees the same blocks with the same positions and document masks, in an order of its own; its model is the
architecture of ours as transformers initializes it. Prints one JSON object (`Outcome` of train_sides.py).
"""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from params.model import ModelParams
from tasks.model.build import build_config, hidden_matrices
from tasks.model.shape import choose_shape
from tasks.shards.blocks import Blocks, evenly
from tasks.tokenizer.files import SpecialIds, special_ids
from tasks.training.batch import Batch, make_batch, num_targets
from tasks.training.objective import autocast, token_losses

CPU = torch.device("cpu")
SKIPPED_STEPS = 2
"""Steps at the start, with compilation, that the rate is not taken from."""


@dataclass(frozen=True)
class Data:
    """Blocks and how to make tensors of them."""

    ids: SpecialIds
    train: Blocks
    validation: Blocks

    @classmethod
    def load(cls, tokenizer: str, shards: str) -> "Data":
        parts = [Blocks(sorted((Path(shards) / split).glob("*.arrow"))) for split in ("train", "validation")]
        return cls(special_ids(Path(tokenizer)), *parts)

    def batch(self, blocks: np.typing.NDArray[np.int64]) -> Batch:
        return make_batch(blocks, begin=self.ids.begin, padding=self.ids.padding, device=CPU)


def main() -> None:
    task = json.loads(sys.argv[1])
    began = time.perf_counter()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(task["threads"])
    transformers.set_seed(task["seed"])
    data = Data.load(task["tokenizer"], task["shards"])
    model = plain_model(ModelParams.model_validate(task["model"]), data)
    train = {"trainer": train_with_trainer, "bare": train_bare}[task["kind"]]
    ends = train(task, model, data)
    outcome = {
        "tokens": len(ends) * task["batch_blocks"] * data.train.context,
        "train_s": (ends[-1] - ends[SKIPPED_STEPS - 1]) * len(ends) / (len(ends) - SKIPPED_STEPS),
        "steps": len(ends),
        "loss": validation_loss(model, data, task["eval_blocks"], bf16=task["bf16"]),
        "wall_s": time.perf_counter() - began,
    }
    print(json.dumps(outcome))


def plain_model(params: ModelParams, data: Data) -> Any:
    ids, context = data.ids, data.train.context
    shape = choose_shape(params, vocab_size=ids.vocab_size, context=context)
    special = {"begin": ids.begin, "end": ids.end, "padding": ids.padding}
    config = build_config(shape, vocab_size=ids.vocab_size, context=context, **special)
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32)


def train_with_trainer(task: dict[str, Any], model: Any, data: Data) -> list[float]:
    """The moments at which transformers' Trainer ended its steps; a recipe of {} is its default."""
    ends: list[float] = []

    class Watch(transformers.TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    def collate(rows: list[int]) -> dict[str, torch.Tensor]:
        batch = data.batch(data.train[np.array(rows)])
        return {
            "input_ids": batch.inputs,
            "position_ids": batch.positions,
            "attention_mask": batch.mask,
            "labels": batch.inputs,
            "shift_labels": batch.targets,
        }

    arguments = transformers.TrainingArguments(
        output_dir=task["out"],
        per_device_train_batch_size=task["batch_blocks"],
        max_steps=task["tokens"] // (task["batch_blocks"] * data.train.context),
        seed=task["seed"],
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        **task["recipe"],
    )
    trainer = transformers.Trainer(
        model, arguments, data_collator=collate, train_dataset=range(len(data.train)), callbacks=[Watch()]
    )
    trainer.train()
    return ends


def train_bare(task: dict[str, Any], model: Any, data: Data) -> list[float]:
    """The moments at which the steps of a loop without anything but PyTorch ended: bf16, torch.compile, fused AdamW."""
    torch.set_float32_matmul_precision("high")
    hidden = list(hidden_matrices(model).values()) if task["recipe"]["optimizer"] == "muon" else []
    chosen = {id(p) for p in hidden}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, lr=1e-3, fused=True)]
    if hidden:
        optimizers.append(torch.optim.Muon(hidden, lr=0.02))
    order = np.random.default_rng(task["seed"]).permutation(len(data.train))

    @torch.compile(dynamic=False)
    def loss_sum(inputs: Any, targets: Any, positions: Any, mask: Any) -> torch.Tensor:
        logits = model(input_ids=inputs, attention_mask=mask, position_ids=positions, use_cache=False).logits
        return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum")

    ends = []
    rows = task["batch_blocks"]
    for step in range(task["tokens"] // (rows * data.train.context)):
        blocks = data.train[order[step * rows : (step + 1) * rows]]
        batch = data.batch(blocks)
        with autocast(CPU, torch.bfloat16):
            loss = loss_sum(batch.inputs, batch.targets, batch.positions, batch.mask)
        (loss / num_targets(blocks, data.ids.padding)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        loss.item()
        ends.append(time.perf_counter())
    return ends


@torch.no_grad()
def validation_loss(model: Any, data: Data, num_blocks: int, *, bf16: bool) -> float:
    """Mean loss over the blocks that our loop evaluates on, in nats per token."""
    model.eval()
    blocks = data.validation[evenly(len(data.validation), num_blocks)]
    with autocast(CPU, torch.bfloat16 if bf16 else None):
        total = sum(float(token_losses(model, data.batch(part)).sum()) for part in np.array_split(blocks, 4))
    return total / num_targets(blocks, data.ids.padding)


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
