"""What a file that should hold a JSON object is told for."""

import pytest

from params.errors import ParameterError
from tasks.files.json_object import read_object


@pytest.mark.parametrize(("text", "said"), [("{1", "is not JSON: Expecting"), ("[1]", "is not a JSON object; look")])
def test_something_else_is_named_with_field_file_and_remedy(tmp_path, text, said):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ParameterError, match=rf"train\.x: .*a\.json {said}.*"):
        read_object(tmp_path / "a.json", field="train.x", remedy="look")
    (tmp_path / "a.json").write_text('{"面": 1}', encoding="utf-8")
    assert read_object(tmp_path / "a.json", field="train.x", remedy="look") == {"面": 1}
