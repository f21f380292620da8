"""Settings of the machine: a shared store is a URL, and holds no secret."""

import pytest
from pydantic import ValidationError

from params.run import RunParams


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"store": "team/mill"}, "store 'team/mill' is no URL"),
        ({"store": "ftp://me:open-sesame@host/mill"}, "the URL of store holds a password"),
        ({"store": "s3://team", "store_options": {"secret": "open-sesame"}}, "secret looks like a secret"),
        ({"store_options": {"client_kwargs": {"aws_access_key_id": "open-sesame"}}}, "aws_access_key_id looks like"),
    ],
)
def test_a_shared_store_is_a_url_without_a_secret(settings: dict[str, object], problem: str):
    with pytest.raises(ValidationError, match=problem) as error:
        RunParams.model_validate(settings)
    assert all("open-sesame" not in found["msg"] for found in error.value.errors())


def test_where_a_shared_store_answers_is_no_secret():
    settings = RunParams(store="s3://team/mill", store_options={"endpoint_url": "http://objects:9000"})
    assert settings.store == "s3://team/mill"
