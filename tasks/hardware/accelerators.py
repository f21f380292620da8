"""Accelerators that are not here: peak arithmetic without sparsity, memory, power, and what an hour may cost."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from params.errors import ParameterError

Precision = Literal["bf16", "fp16", "fp32"]

PRICES_FROM = "lowest listed RunPod rate, deploybase.ai/articles/runpod-gpu-pricing, 10 March 2026"
"""Where the example prices come from: they move by the week, so give your own with --price."""


@dataclass(frozen=True)
class Accelerator:
    """One device, as its vendor specifies it."""

    name: str
    half_tflops: float
    """Dense matrix peak in 16 bits with 32-bit accumulation, in 10^12 operations per second."""
    bf16: bool
    """Whether those 16 bits may be bfloat16; without it, training in bf16 runs in float32."""
    fp32_tflops: float
    """Dense matrix peak of float32 inputs: TF32 where there is such, else plain."""
    memory_gib: float
    """Vendors write GB and mean 2^30 bytes, as a rule."""
    bandwidth_gb_s: float
    """Of its memory."""
    link_gb_s: float
    """To the other devices of the machine, both directions together: NVLink, or PCI Express where there is none."""
    watts: float
    """Maximum board power."""
    expected: tuple[float, str]
    """Share of the matrix peak that training of models of a billion parameters or more reaches, and who measured it."""
    dollars_per_hour: float | None
    """An example (see PRICES_FROM); None where that list has none."""
    source: str
    """The vendor's document."""

    def precision(self, wanted: Precision | Literal["auto"]) -> Precision:
        """What training in that precision comes to here."""
        if wanted == "auto" or (wanted == "bf16" and not self.bf16):
            return "bf16" if self.bf16 else "fp32"
        return wanted

    def peak_flops(self, precision: Precision) -> float:
        """Operations per second at most."""
        return 1e12 * (self.fp32_tflops if precision == "fp32" else self.half_tflops)


_SHARE_V100 = (0.30, "Megatron-LM, Shoeybi et al. 2019, section 5.1: 39 of 130 TFLOP/s on one device")
_SHARE_A100 = (0.45, "Narayanan et al. 2021, table 1: 44 to 52 %")
_SHARE_H100 = (0.40, "Llama 3, Dubey et al. 2024, table 4: 38 to 43 %")
_SHARE_B200 = (0.35, "assumed below H100, as its kernels are young")
_SHARE_RTX = (0.45, "assumed as A100")

_V100 = "NVIDIA V100 Tensor Core GPU data sheet (January 2020)"
_A100 = "NVIDIA A100 Tensor Core GPU data sheet (June 2021)"
_H100 = "NVIDIA H100 Tensor Core GPU data sheet (2023); dense is half of what it gives with sparsity"
_H200 = "NVIDIA H200 Tensor Core GPU data sheet (2024); dense is half of what it gives with sparsity"
_B200 = "NVIDIA Blackwell architecture technical brief (2024), HGX B200; DGX B200 data sheet for memory"
_GA102 = "NVIDIA Ampere GA102 GPU architecture whitepaper, appendix A"
_AD102 = "NVIDIA Ada GPU architecture whitepaper, appendix A"
_GB202 = "NVIDIA RTX Blackwell GPU architecture whitepaper, appendix A"

ACCELERATORS = {
    "v100": Accelerator("V100 SXM2 32 GB", 125, False, 15.7, 32, 900, 300, 300, _SHARE_V100, None, _V100),
    "a100-40": Accelerator("A100 SXM 40 GB", 312, True, 156, 40, 1555, 600, 400, _SHARE_A100, None, _A100),
    "a100-80": Accelerator("A100 SXM 80 GB", 312, True, 156, 80, 2039, 600, 400, _SHARE_A100, 1.39, _A100),
    "h100": Accelerator("H100 SXM 80 GB", 989.5, True, 494.5, 80, 3350, 900, 700, _SHARE_H100, 2.69, _H100),
    "h100-pcie": Accelerator("H100 PCIe 80 GB", 756.5, True, 378, 80, 2000, 600, 350, _SHARE_H100, 1.99, _H100),
    "h200": Accelerator("H200 SXM 141 GB", 989.5, True, 494.5, 140, 4800, 900, 700, _SHARE_H100, 3.59, _H200),
    "b200": Accelerator("B200 SXM 180 GB", 2250, True, 1100, 178, 7700, 1800, 1000, _SHARE_B200, 5.98, _B200),
    "rtx3090": Accelerator("RTX 3090 24 GB", 71, True, 35.6, 24, 936, 64, 350, _SHARE_RTX, 0.22, _GA102),
    "rtx4090": Accelerator("RTX 4090 24 GB", 165.2, True, 82.6, 24, 1008, 64, 450, _SHARE_RTX, 0.34, _AD102),
    "rtx5090": Accelerator("RTX 5090 32 GB", 209.5, True, 104.8, 32, 1792, 128, 575, _SHARE_RTX, 0.69, _GB202),
}
_ALIASES = {
    "v100-32": "v100",
    "a100": "a100-80",
    "h100-sxm": "h100",
    **{f"{number}": f"rtx{number}" for number in (3090, 4090, 5090)},
}


def find_accelerators(text: str) -> tuple[Accelerator, int]:
    """`h100x8` to the device and how many; a name alone is one."""
    name, count = text.strip().lower().replace("_", "-"), 1
    if name not in ACCELERATORS and name not in _ALIASES and (found := re.fullmatch(r"(.+)x(\d+)", name)):
        name, count = found[1], int(found[2])
    accelerator = ACCELERATORS.get(_ALIASES.get(name, name))
    if accelerator is None:
        close = get_close_matches(name, [*ACCELERATORS, *_ALIASES], n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        known = ", ".join(ACCELERATORS)
        raise ParameterError(f"--on {text}: no such accelerator{hint}; known are {known}, each with xN for several")
    if count < 1:
        raise ParameterError(f"--on {text}: {count} devices; write xN with N of 1 or more")
    return accelerator, count
