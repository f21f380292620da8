"""Files behind a URL, on a real S3 server and in a folder."""

import json
from pathlib import Path
from typing import Any

from tasks.artifacts.objects import Objects


def test_of_two_writers_of_a_new_file_the_first_stays(s3: Any, s3_server: str):
    one, two = (Objects("s3://corpus/mill", json.dumps({"endpoint_url": s3_server}), 0) for _ in range(2))
    assert one.put_new("manifest.json", b"first")
    assert not two.put_new("manifest.json", b"second")
    assert s3.get_object(Bucket="corpus", Key="mill/manifest.json")["Body"].read() == b"first"
    two.put("manifest.json", b"mended")
    assert one.read("manifest.json") == b"mended"


def test_a_folder_has_no_conditions_and_the_last_writer_stays(tmp_path: Path):
    objects = Objects(f"file://{tmp_path}/mill", "{}", 0)
    assert objects.put_new("manifest.json", b"first")
    assert objects.put_new("manifest.json", b"second")
    assert [path.name for path in (tmp_path / "mill").iterdir()] == ["manifest.json"]
    assert objects.read("manifest.json") == b"second"
