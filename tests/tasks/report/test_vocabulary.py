"""The picture of how well a vocabulary fits."""

import matplotlib.image
import numpy as np
import pytest

from tasks.report.vocabulary import draw_vocabulary


@pytest.mark.parametrize("languages", [{}, {"en": 4.2}, {"en": 4.2, "zh": 3.1, "Han": 2.0}])
@pytest.mark.parametrize("counts", [[], [0, 0], [5, 0, 1]])
def test_the_picture_grows_with_the_number_of_languages(languages, counts, tmp_path):
    draw_vocabulary(tmp_path / "v.png", languages, np.array(counts, np.int64), title="t")
    height, width, _ = matplotlib.image.imread(tmp_path / "v.png").shape
    assert width == 1080
    assert height == pytest.approx(120 * (4.2 + 0.36 * len(languages)), abs=1)
