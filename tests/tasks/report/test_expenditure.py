"""Energy and money, and where the assumptions come from."""

import pytest

from params.run import RunParams
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.report.expenditure import expenditure


def trained(folder, *, device, hardware="", ranks=1, stop=None, seconds=3600.0):
    facts = {"device": device, "hardware": hardware, "threads": "8", "ranks": str(ranks)}
    counts = {"tokens": 64_000, "parameters": 1000, "steps": 10}
    made = Manifest(
        stage="train", version=1, fingerprint="f", digest="d", inputs={}, files=(),
        params={"batch_blocks": 8, "stop": stop or {}},
        metrics=Metrics(counts=counts, values={"training_s": seconds}, facts=facts),
    )  # fmt: skip
    return made.located(folder)


@pytest.mark.parametrize(
    ("hardware", "watts", "price"),
    [
        ("NVIDIA H100 80GB HBM3", 700, 2.69),
        ("NVIDIA H100 PCIe", 350, 1.99),
        ("NVIDIA A100-SXM4-40GB", 400, None),
        ("NVIDIA A100-SXM4-80GB", 400, 1.39),
        ("NVIDIA GeForce RTX 4090", 450, 0.34),
        ("NVIDIA H200", 700, 3.59),
        ("Some GPU of tomorrow", None, None),
    ],
)
def test_a_known_accelerator_brings_its_board_power_and_price(tmp_path, hardware, watts, price):
    found = expenditure([trained(tmp_path, device="cuda:0", hardware=hardware, ranks=2)], RunParams())
    assert found.watts == (None if watts is None else 2 * watts)
    assert found.price_per_hour == (None if price is None else 2 * price)


def test_phases_add_up_and_what_is_given_comes_first(tmp_path):
    phases = [trained(tmp_path, device="cpu:0"), trained(tmp_path, device="cpu:0", seconds=1800.0)]
    found = expenditure(phases, RunParams(watts=200, price_per_hour=4))
    assert found.kilowatt_hours == pytest.approx(0.3)
    assert found.cost == pytest.approx(6.0)
    assert found.flops == 2 * 6 * 1000 * 64_000


def test_the_price_of_the_cost_rule_counts_where_none_is_given(tmp_path):
    stop = {"max_cost": {"limit": 10, "price_per_hour": 1.5}}
    assert expenditure([trained(tmp_path, device="cpu:0", stop=stop)], RunParams()).cost == pytest.approx(1.5)


def test_a_processor_is_assumed_to_take_twelve_watts_a_thread(tmp_path):
    found = expenditure([trained(tmp_path, device="cpu:0", ranks=2)], RunParams())
    assert found.watts == 12 * 8 * 2
    assert "Lannelongue" in found.watts_from.en
