"""How much memory a training step needs on one device, by part."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

from tasks.estimation.layout import Layout
from tasks.estimation.parameters import count_parameters, matrix_elements
from tasks.estimation.shape import ModelShape

_FLOAT32 = 4
_LOGIT_TRAINING = 12
"""Bytes a logit, at the peak: log-softmax in float32 kept from the way forward, and two gradients of the same size."""
_LOGIT_EVALUATION = 10
"""16-bit logits, their float32 copy, and the log-softmax."""
_PROCESS_BYTES = MappingProxyType({False: 520 << 20, True: 1200 << 20})
"""On the processor: Python with torch and transformers, measured. On a GPU: CUDA context and library workspaces."""
_COMPILER_BYTES = 80 << 20
"""What torch.compile adds to the process, measured."""
_COMPILED_KEEPS = 0.33
"""Share of a layer's activations that torch.compile keeps: it computes element-wise results again. Fitted
to the resident memory of training 12 million parameters in bf16 on a processor, 8 and 32 blocks at a time."""
_TRANSIENT = MappingProxyType({False: 0.35, True: 0.15})
"""Gradients of activations, and what the allocator holds and cannot use, as a share of what comes and goes. On the
processor measured (12 million parameters, 8 and 32 blocks, bf16 and fp32: within 2 %); on a GPU assumed."""


@dataclass(frozen=True)
class MemoryParts:
    """Bytes on one device at the peak of a step."""

    weights: int
    """The reference of preference tuning among them."""
    gradients: int
    optimizer: int
    activations: int
    """What the layers keep for the way back."""
    logits: int
    workspace: int
    """Process, communication buffers, 16-bit copies of weights, what comes and goes on the way back."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(asdict(self).values())

    @property
    def by_size(self) -> Mapping[str, int]:
        """The parts, largest first."""
        return dict(sorted(asdict(self).items(), key=lambda part: -part[1]))


def memory_parts(shape: ModelShape, layout: Layout) -> MemoryParts:
    """Memory of a step; what ZeRO shares out after Rajbhandari et al. (2020), section 5."""
    num = count_parameters(shape).total
    models = 2 if layout.copies_reference else 1
    weights = models * _FLOAT32 * num // layout.shared("zero3")
    activations, logits = activation_bytes(shape, layout), logit_bytes(shape, layout)
    return MemoryParts(
        weights=weights,
        gradients=_FLOAT32 * num // layout.shared("zero2", "zero3"),
        optimizer=optimizer_bytes(shape, muon=layout.muon) // layout.shared("zero1", "zero2", "zero3"),
        activations=activations,
        logits=logits,
        workspace=_workspace_bytes(shape, layout) + int(_TRANSIENT[layout.on_gpu] * (activations + logits)),
    )


def optimizer_bytes(shape: ModelShape, *, muon: bool) -> int:
    """Of AdamW for everything, or of Muon for the layers' matrices and of AdamW for the rest."""
    by_muon = shape.layers * sum(muon_bytes(*matrix) for matrix in shape.matrices) if muon else 0
    return by_muon + adamw_bytes(count_parameters(shape).total - (matrix_elements(shape) if muon else 0))


def adamw_bytes(parameters: int) -> int:
    """Two float32 moments for each parameter."""
    return 2 * _FLOAT32 * parameters


def muon_bytes(rows: int, columns: int) -> int:
    """One float32 moment for each element of a matrix, and one for each row or column, of whichever there are more
    (NorMuon)."""
    return _FLOAT32 * (rows * columns + max(rows, columns))


def layer_activation_bytes(shape: ModelShape, *, half: bool) -> int:
    """Bytes per token that one layer keeps for the way back, without checkpointing and without compilation.

    As Korthikanti et al. (2022), section 4.1, count them, for what transformers' layers do under autocast: the residual
    stream and norms stay float32, each linear layer keeps its own 16-bit copy of its input, attention without its
    scores (they are computed again, Dao et al. 2022), no dropout.
    """
    family, w, q, k, f = shape.family, shape.width, shape.query_width, shape.kv_width, shape.ffn_width
    c = 2 if half else _FLOAT32
    inputs_of_attention = 1 if family.fused_qkv or not half else 3  # autocast makes a copy for each of q, k and v
    inputs_of_ffn = 1 if not family.gated or not half else 2
    in_norms = 2 * (1 if family.biases else 2) * _FLOAT32 * w  # the input, and in RMSNorm the normalized values
    in_statistics = 2 * _FLOAT32 * (2 if family.biases else 1)
    in_linear = (inputs_of_attention + inputs_of_ffn) * c * w
    in_attention = 4 * c * q + _FLOAT32 * shape.heads  # queries, repeated keys and values, output, log of sums
    in_qk_norm = (q + k) * (_FLOAT32 + c) + _FLOAT32 * (shape.heads + shape.kv_heads) if family.qk_norm else 0
    in_mask = c * shape.context  # the mask in the scores' type, one for each layer
    in_ffn = (4 if family.gated else 5) * c * f  # gate, its SiLU, up, product; or the parts of GELU's tanh form
    return in_norms + in_statistics + in_linear + in_attention + in_qk_norm + in_mask + in_ffn


def activation_bytes(shape: ModelShape, layout: Layout) -> int:
    """Bytes of activations of a forward pass; with checkpointing the layers' inputs and one layer at a time."""
    tokens = layout.rows * shape.context
    layer = layer_activation_bytes(shape, half=layout.half)
    if layout.compiled:
        layer = int(_COMPILED_KEEPS * layer)
    per_token = shape.layers * _FLOAT32 * shape.width + layer if layout.checkpointing else shape.layers * layer
    final_norm = (2 if shape.family.biases else 3) * _FLOAT32 * shape.width
    return tokens * (per_token + final_norm)


def logit_bytes(shape: ModelShape, layout: Layout) -> int:
    """Bytes of logits at the peak of a step or of an evaluation, whichever is more."""
    training = layout.rows * _LOGIT_TRAINING
    return shape.context * shape.vocab_size * max(training, layout.sides * layout.eval_rows * _LOGIT_EVALUATION)


def _workspace_bytes(shape: ModelShape, layout: Layout) -> int:
    layer = matrix_elements(shape) // shape.layers
    multiplied = matrix_elements(shape) + shape.vocab_size * shape.width
    gathered = layout.strategy == "zero3"
    copies = (2 if layout.half else 0) * (2 * layer if gathered else multiplied)  # autocast keeps its casts of weights
    gathering = 2 * _FLOAT32 * layer if gathered else 0  # a layer in use, and the next one on its way
    buckets = _FLOAT32 * count_parameters(shape).total if layout.devices > 1 and layout.strategy == "ddp" else 0
    largest = max(rows * columns for rows, columns in shape.matrices)
    orthogonalizing = 3 * 2 * largest if layout.muon else 0
    process = _PROCESS_BYTES[layout.on_gpu] + (_COMPILER_BYTES if layout.compiled else 0)
    return process + max(copies, orthogonalizing) + gathering + buckets
