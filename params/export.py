"""How the trained model becomes an ONNX graph, and how closely the graph must agree with it."""

from typing import Literal

from pydantic import Field

from params.base import Params


class ExportParams(Params):
    """ONNX with key/value cache and dynamic batch and length."""

    formats: tuple[Literal["gguf", "pt2", "torchscript"], ...] = ()
    """Other files to leave besides the ONNX graph and the safetensors of training: gguf (llama.cpp, Ollama), pt2
    (torch.export), torchscript."""
    opset: int = Field(default=21, ge=18, le=23)
    """ONNX operator set of graphs made by torch's exporter (the genai builder chooses its own)."""
    check_blocks: int = Field(default=4, ge=1)
    """Held-out blocks whose logits are compared with the trained model's."""
    greedy_tokens: int = Field(default=200, ge=1)
    """Tokens generated greedily, with the cache and without, that must equal the trained model's."""
    max_logit_difference: float = Field(default=1e-3, gt=0)
    """Largest allowed difference of any logit from the trained model's in float32."""
