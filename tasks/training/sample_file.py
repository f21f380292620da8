"""Texts that the model writes at its evaluations, for people to read: no part of the result."""

from functools import cached_property
from pathlib import Path

from params.watch import SamplesParams
from tasks.training.curve import CurveFile
from tasks.training.setup import Parts
from tasks.training.sharding import opened
from tasks.watching.writing import Script, sample_texts


class SampleFile:
    """Writes samples; the random state and the weights of training stay as they are."""

    def __init__(self, parts: Parts, path: Path) -> None:
        self._parts = parts
        writes = parts.job.params.objective in ("language_model", "instruct", "preference")
        self._params = parts.job.settings.watch.samples if writes else None
        self._file = CurveFile(path, writes=parts.accelerator.is_main_process and self._params is not None)

    def write(self, step: int, evaluation: int) -> None:
        """Samples of the first rank after an evaluation, where it is the turn of one; with weights shared out, every
        rank makes them, for they are gathered together."""
        params, parts = self._params, self._parts
        takes_part = parts.accelerator.is_main_process or parts.shares_weights
        if params is None or not takes_part or evaluation % params.every_evals:
            return
        with opened(parts.goal.loss):
            self._write(step, params)

    def _write(self, step: int, params: SamplesParams) -> None:
        parts = self._parts
        for sample in sample_texts(parts.model, self._script, params, context=parts.goal.train.context):
            self._file.add({"step": step, **sample})

    def flush(self) -> None:
        """Put what was written onto the disk."""
        self._file.flush()

    def cut(self, step: int) -> None:
        """Drop what was written after a step."""
        self._file.cut(step)

    @cached_property
    def _script(self) -> Script:
        return Script.load(self._parts.job.tokenizer)
