"""How many parameters a model has, by part."""

from dataclasses import astuple, dataclass

from tasks.estimation.shape import ModelShape


@dataclass(frozen=True)
class ParameterCount:
    """Exact numbers of parameters; a tied head counts with the embeddings, once."""

    embeddings: int
    """Tokens, and positions where they are learned."""
    attention: int
    feed_forward: int
    norms: int
    head: int
    """The output matrix; 0 where it is the embeddings'."""

    @property
    def total(self) -> int:
        """All of them, as `sum(p.numel() for p in model.parameters())`."""
        return sum(astuple(self))


def count_parameters(shape: ModelShape) -> ParameterCount:
    """The parameters of a decoder from its shape alone."""
    w, q, k, f, family = shape.width, shape.query_width, shape.kv_width, shape.ffn_width, shape.family
    vocabulary = shape.vocab_size * w
    num_ffn = 3 if family.gated else 2
    attention = 2 * w * (q + k) + (q + 2 * k + w if family.biases else 0)
    feed_forward = num_ffn * w * f + (f + w if family.biases else 0)
    norm = 2 * w if family.biases else w
    norms = 2 * norm + (2 * shape.head_dim if family.qk_norm else 0)
    return ParameterCount(
        embeddings=vocabulary + (shape.context * w if family.learned_positions else 0),
        attention=shape.layers * attention,
        feed_forward=shape.layers * feed_forward,
        norms=shape.layers * norms + norm * (2 if family.embedding_norm else 1),
        head=0 if shape.tied else vocabulary,
    )


def matrix_elements(shape: ModelShape) -> int:
    """Elements of all the layers' matrices: what multiplies every token, and what Muon updates."""
    return shape.layers * sum(rows * columns for rows, columns in shape.matrices)
