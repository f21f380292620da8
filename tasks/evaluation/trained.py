"""The trained model as a function from blocks to losses."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from tasks.evaluation.losses import BlockLosses, Floats, Ints
from tasks.training.batch import make_batch
from tasks.training.objective import token_losses


def load_block_losses(folder: Path, *, begin: int, padding: int, threads: int, device: torch.device) -> BlockLosses:
    """Load a transformers folder; its losses are computed in float32."""
    logging_of_transformers: Any = transformers_logging
    logging_of_transformers.disable_progress_bar()
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high")
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    model.to(device).eval()

    def block_losses(blocks: Ints) -> Floats:
        batch = make_batch(blocks, begin=begin, padding=padding, device=device)
        with torch.inference_mode():
            return np.asarray(token_losses(model, batch).cpu().double())

    return block_losses


def chosen_device(setting: str) -> torch.device:
    """The device that `run.device` stands for on this machine."""
    return torch.device("cuda" if setting != "cpu" and torch.cuda.is_available() else "cpu")
