"""Continuing texts in this process: many at once, each told as it grows."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from params.errors import ParameterError
from tasks.kinds.kind import kind_of
from tasks.serving.batch import Batch, Job, Text
from tasks.serving.chat_template import ChatError, ChatTemplate, Message
from tasks.serving.generation import Choice, Piece
from tasks.serving.generator import OnnxModel, PromptError, Sampling, served_folder
from tasks.serving.rows import rows_of
from tasks.serving.sampling import Rule

_MAX_ROWS = 16
_PREFILL_TOKENS = 512


class LocalModel:
    """A bundle or served folder, ready to continue texts."""

    def __init__(self, folder: Path, *, variant: str | None = None, threads: int = 1) -> None:
        """Load it. Raises ParameterError with what there is."""
        try:
            served = served_folder(folder, variant)
        except PromptError as error:
            raise ParameterError(str(error)) from None
        if (kind := kind_of(served)) is not None and kind.command != "generate":
            raise ParameterError(
                f"{folder} holds a {kind.name}, which writes no text: gristmill {kind.command} asks it"
            )
        self.model = OnnxModel(served, threads=threads)
        self.chat = ChatTemplate.load(served) if self.model.encoder is None else None

    def sampling(self, **changes: object) -> Sampling:
        """The model's own sampling with changes. Raises ParameterError."""
        try:
            return self.model.sampling(**changes)
        except PromptError as error:
            raise ParameterError(str(error)) from None

    def prompt_tokens(self, text: str, where: str) -> tuple[int, ...]:
        """The tokens of a prompt. Raises ParameterError that begins with where it stands."""
        _check_text(text, where)
        tokens = tuple(self.model.encode(text))
        self._check_room(tokens, where)
        return tokens

    def chat_tokens(self, messages: list[Message]) -> tuple[int, ...]:
        """The tokens of a conversation, its oldest turns left out where the context does not hold all of them."""
        if self.chat is None:
            raise ParameterError(f"{self.model.folder}: this model has no chat template; continue texts instead")
        for message in messages:
            _check_text(message.content, "the conversation")
        try:
            tokens = tuple(self.chat.encode(messages))
        except ChatError as error:
            raise ParameterError(str(error)) from None
        leading = messages[:1] if messages[0].role == "system" else []
        turns = messages[len(leading) :]
        if len(tokens) < self.model.settings.context_length or len(turns) < 3:
            self._check_room(tokens, "the conversation")
            return tokens
        return self.chat_tokens([*leading, *turns[2:]])

    def run(
        self,
        prompts: list[tuple[int, ...]],
        sampling: Sampling,
        *,
        num_continuations: int = 1,
        stops: tuple[str, ...] = (),
        answers: bool = False,
    ) -> Iterator[Piece]:
        """Pieces of the continuations, num_continuations of each prompt in turn, as they are made.

        `answers` ends them at the end of a turn as well. A text is begun only when there is room for it, so any number
        of them takes the memory of a few.
        """
        end_tokens = frozenset((self.model.settings.eos_token_id,))
        if answers and self.chat is not None:
            end_tokens |= self.chat.end_tokens
        jobs = (
            Job(prompt, _rule(sampling, index), sampling.max_new_tokens, end_tokens)
            for prompt in prompts
            for index in range(num_continuations)
        )
        to_come = enumerate(jobs)
        num_rows = min(len(prompts) * num_continuations, _MAX_ROWS)
        batch = self._batch(num_rows)
        begun: dict[Text, Choice] = {}
        while True:
            for index, job in islice(to_come, num_rows - len(begun)):
                text = Text(job, room=self.model.room)
                begun[text] = Choice(index, job, stops, model=self.model)
                batch.waiting.append(text)
            if batch.is_idle:
                return
            for text, emission in batch.step():
                if text not in begun:  # a stop sequence ended it at the token before, in this very step
                    continue
                piece = begun[text].add([emission])
                if piece.finish:
                    text.cancel()
                    del begun[text]
                yield piece

    def _batch(self, num_rows: int) -> Batch:
        at_once = _PREFILL_TOKENS if self.model.encoder is None else self.model.settings.context_length
        return Batch(rows_of(self.model, max_rows=num_rows), num_rows, at_once)

    def _check_room(self, tokens: tuple[int, ...], where: str) -> None:
        if len(tokens) > self.model.longest:
            raise ParameterError(
                f"{where}: the prompt has {len(tokens)} tokens (its begin or end token counted), and the model takes "
                f"{self.model.longest} at most; shorten it"
            )


def _rule(sampling: Sampling, index: int) -> Rule:
    return Rule(
        temperature=0 if sampling.greedy else sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        seed=sampling.seed,
        index=index,
    )


def _check_text(text: str, where: str) -> None:
    """Bytes that are no UTF-8 come from a command line as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ParameterError(f"{where}: not text in UTF-8") from None
