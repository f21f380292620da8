"""The picture of why documents were dropped."""

import matplotlib.image
import pytest

from tasks.report.funnel import draw_losses


@pytest.mark.parametrize("dropped", [{}, {"empty": 1}, {f"lines.rule_{number}": number for number in range(15)}])
def test_the_picture_grows_with_the_number_of_reasons(dropped, tmp_path):
    draw_losses(tmp_path / "losses.png", dropped, docs_in=200, title="clean")
    height, width, _ = matplotlib.image.imread(tmp_path / "losses.png").shape
    assert width == 1200
    assert height == pytest.approx(120 * (1.1 + 0.36 * (len(dropped) + 1)), abs=1)
