"""How many floating point operations training takes."""

from dataclasses import dataclass

from tasks.estimation.parameters import matrix_elements
from tasks.estimation.shape import ModelShape

_TRAINING = 3
"""Forward, and twice as much backward: the gradients of inputs and of weights (Kaplan et al. 2020, section 2.1)."""


@dataclass(frozen=True)
class TokenFlops:
    """Operations (a multiply and an add are two) per trained token, forward and backward.

    6 N + 12 L H Q T of PaLM (Chowdhery et al. 2022, appendix B), with N the elements of matrices that multiply every
    token: those of the layers, and the output matrix whether tied or not. Looking up an embedding costs nothing here;
    Hoffmann et al. (2022, appendix F) count it as a product. The attention term is for all T x T scores, as the mask
    of packed documents is applied to all of them.
    """

    layers: int
    """6 x the elements of the layers' matrices."""
    attention: int
    """12 x layers x heads x head width x context: scores, and the sums of values."""
    logits: int
    """6 x vocabulary x width."""

    @property
    def total(self) -> int:
        """The model's operations, by which its share of peak is measured."""
        return self.layers + self.attention + self.logits

    def executed(self, *, checkpointing: bool) -> float:
        """With activation checkpointing the layers go forward twice."""
        return self.total + ((self.layers + self.attention) / _TRAINING if checkpointing else 0)


def token_flops(shape: ModelShape) -> TokenFlops:
    """Operations per token of a model."""
    return TokenFlops(
        layers=2 * _TRAINING * matrix_elements(shape),
        attention=4 * _TRAINING * shape.layers * shape.query_width * shape.context,
        logits=2 * _TRAINING * shape.vocab_size * shape.width,
    )


def muon_flops(shape: ModelShape, *, newton_schulz_steps: int) -> int:
    """Operations of one Muon update: each step of the iteration on a matrix (m, n), m <= n, multiplies X X^T, its
    square, and the sum with X, 4 m² n + 2 m³ in all (Jordan et al. 2024)."""
    short_long = [sorted(matrix) for matrix in shape.matrices]
    iteration = sum(4 * m * m * n + 2 * m**3 for m, n in short_long)
    return newton_schulz_steps * shape.layers * iteration
