"""The table of accelerators and how its rows are named."""

import pytest

from params.errors import ParameterError
from tasks.hardware.accelerators import ACCELERATORS, find_accelerators


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        ("h100x8", "H100 SXM 80 GB", 8),
        ("H100", "H100 SXM 80 GB", 1),
        ("a100-40x2", "A100 SXM 40 GB", 2),
        ("rtx5090", "RTX 5090 32 GB", 1),
        ("rtx5090x4", "RTX 5090 32 GB", 4),
        ("4090x2", "RTX 4090 24 GB", 2),
        ("h100-pciex4", "H100 PCIe 80 GB", 4),
    ],
)
def test_a_name_with_a_number_is_found(text, name, count):
    accelerator, devices = find_accelerators(text)
    assert (accelerator.name, devices) == (name, count)


@pytest.mark.parametrize(
    ("text", "said"), [("h10", "did you mean h100"), ("h100x0", "0 devices"), ("tpu", "known are")]
)
def test_what_is_not_there_is_told_with_what_there_is(text, said):
    with pytest.raises(ParameterError, match=said):
        find_accelerators(text)


def test_peaks_are_without_sparsity():
    """Data sheets give H100 SXM 1,979 TFLOP/s in bf16 with sparsity, B200 4,500; A100 312 without."""
    assert ACCELERATORS["h100"].peak_flops("bf16") == pytest.approx(1979e12 / 2)
    assert ACCELERATORS["b200"].peak_flops("bf16") == pytest.approx(4500e12 / 2)
    assert ACCELERATORS["a100-80"].peak_flops("bf16") == pytest.approx(312e12)


def test_a_device_without_bf16_trains_in_float32_unless_fp16_is_asked_for():
    v100 = ACCELERATORS["v100"]
    assert [v100.precision(wanted) for wanted in ("auto", "bf16", "fp16")] == ["fp32", "fp32", "fp16"]
    assert v100.peak_flops("fp32") == pytest.approx(15.7e12)
    assert ACCELERATORS["a100-80"].precision("auto") == "bf16"


def test_every_row_says_where_it_is_from():
    assert all(row.source.startswith("NVIDIA ") and row.expected[1] for row in ACCELERATORS.values())
