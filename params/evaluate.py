"""How a model is measured."""

from typing import Literal, Self

from pydantic import Field, model_validator

from params.base import Params


class GenerationParams(Params):
    """What the model writes by itself, its diversity and repetition, and listed harmful words in it."""

    samples: int = Field(default=16, ge=1)
    """Test documents whose beginnings are continued."""
    prompt_tokens: int = Field(default=16, ge=1)
    """Tokens of each beginning."""
    new_tokens: int = Field(default=64, ge=1)
    """Longest continuation."""


class MemorisationParams(Params):
    """Training text that the model has by heart."""

    prefixes: int = Field(default=64, ge=1)
    """Training documents whose beginnings are continued greedily."""
    prefix_tokens: int = Field(default=32, ge=1)
    """Tokens given (Carlini et al. 2023: 50)."""
    continuation_tokens: int = Field(default=32, ge=1)
    """Tokens that must come out word for word (Carlini et al. 2023: 50)."""


class CanaryParams(Params):
    """Secrets that were planted in the training text, to see whether they can be told from others."""

    texts: tuple[str, ...] = Field(min_length=1)
    """The planted texts; each has digits, such as: the code of the safe is 4281."""
    alternatives: int = Field(default=255, ge=1)
    """Texts with other digits that each is ranked among (Carlini et al. 2019, The Secret Sharer)."""


class ContaminationParams(Params):
    """Evaluation texts that stand in the training text."""

    ngram_words: int = Field(default=13, ge=1, le=64)
    """Words per n-gram where words stand between spaces (13: GPT-3, Brown et al. 2020, appendix C)."""
    ngram_characters: int = Field(default=13, ge=1, le=256)
    """Characters per n-gram in Han and other unspaced text."""
    max_documents: int = Field(default=10, ge=1)
    """An n-gram that occurs in more training documents is a common phrase and does not count (GPT-3: 10)."""
    min_overlap: float = Field(default=0.7, gt=0, le=1)
    """Share of its n-grams that makes a text contaminated (PaLM, Chowdhery et al. 2022: 0.7)."""


class QuizParams(Params):
    """Questions of the user's own, one JSON object a line."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    """Short name for the figures: quiz.NAME.accuracy."""
    path: str
    """A .jsonl file with prompt and, by kind, choices and answer (a number from 0), target, or target and match."""
    kind: Literal["multiple_choice", "cloze", "generation"]
    """Choose the likeliest of several, predict an end, or write an answer."""
    match: Literal["exact", "contains", "regex"] = "exact"
    """How a written answer is compared with target; a line's own match goes before."""
    new_tokens: int = Field(default=32, ge=1)
    """Longest written answer."""
    max_questions: int | None = Field(default=500, ge=1)
    """Most questions, taken evenly; null for all."""


class HarnessParams(Params):
    """Tasks of the Language Model Evaluation Harness (lm-eval) from files of the user's own."""

    tasks: tuple[str, ...] = Field(min_length=1)
    """Names of tasks: what stands at `task:` in their yaml files."""
    folder: str
    """Folder with the yaml files of the tasks and their data; nothing is fetched from elsewhere."""
    limit: int | None = Field(default=None, ge=1)
    """Most documents of each task, the first so many; null for all."""
    num_fewshot: int | None = Field(default=None, ge=0)
    """Solved examples before each question; null for as many as the task's file says."""

    @model_validator(mode="after")
    def _tasks_differ(self) -> Self:
        if twice := sorted({task for task in self.tasks if self.tasks.count(task) > 1}):
            raise ValueError(f"task {twice[0]} is named twice")
        return self


class EvaluateParams(Params):
    """Loss, perplexity and bits per byte on the held-out documents, and what else is asked for."""

    max_documents: int | None = Field(default=2_000, ge=1)
    """Most documents of each split, and held-out conversations, to evaluate, taken evenly; null for all."""
    max_document_bytes: int | None = Field(default=4_096, ge=16)
    """A longer document is read up to so many UTF-8 bytes; null for the whole."""
    batch_tokens: int = Field(default=4_096, ge=1)
    """Tokens per forward pass."""
    bootstrap_samples: int = Field(default=1_000, ge=100)
    """Resamples of the documents behind each confidence interval."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Confidence of the intervals."""
    seed: int = Field(default=1, ge=0)
    """Seed of the bootstrap and of what is drawn."""
    generation: GenerationParams | None = GenerationParams()
    """Samples with their diversity, repetition and harmful words; null for none."""
    memorisation: MemorisationParams | None = MemorisationParams()
    """Training prefixes continued word for word; null to leave it out."""
    canaries: CanaryParams | None = None
    """Exposure of planted secrets; null where none were planted."""
    contamination: ContaminationParams | None = ContaminationParams()
    """Evaluation texts found in the training text; null to leave it out."""
    bias: bool = True
    """Likelihood of paired sentences, in English and Chinese, that differ in one attribute of a person."""
    quizzes: tuple[QuizParams, ...] = ()
    """Questions of your own."""
    harness: HarnessParams | None = None
    """Tasks in the format of lm-eval; null for none. Needs pip install 'gristmill[eval]'."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = ["validation", "test", *(quiz.name for quiz in self.quizzes), *self._harness_tasks()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two evaluation sets are named {twice[0]} (validation and test are the run's own)")
        return self

    def _harness_tasks(self) -> tuple[str, ...]:
        return self.harness.tasks if self.harness is not None else ()
