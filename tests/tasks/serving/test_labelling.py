"""Servers of a classifier and of a language model, each asked for what it can do and for what it cannot."""

import json

import httpx
import pytest

TEXTS = ["The garden was excellent.", "这次的电影令人失望。"]


def post(server, path, body) -> httpx.Response:
    with server.client() as client:
        return client.post(path, json=body)


def test_texts_get_their_labels_with_the_probabilities_of_all(labels):
    made = post(labels, "/v1/classify", {"input": TEXTS}).json()
    assert [(one["index"], one["label"]) for one in made["data"]] == [(0, "positive"), (1, "negative")]
    for one in made["data"]:
        assert one["probability"] == max(one["probabilities"].values())
        assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert made["usage"]["total_tokens"] > 0
    assert post(labels, "/v1/classify", {"input": TEXTS[0]}).json()["data"] == made["data"][:1]
    assert post(labels, "/invocations", {"input": TEXTS[0]}).json()["data"] == made["data"][:1]


def test_the_model_tells_its_labels(labels):
    with labels.client() as client:
        (about,) = client.get("/v1/models").json()["data"]
        assert about["labels"] == ["negative", "positive"]
        assert client.get("/ready").json() == {"ready": True}


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/completions", {"prompt": "x"}, "fp32 tells labels and writes no text; POST to /v1/classify"),
        ("/v1/classify", {"input": ["good", ""]}, "input.1: the text is empty; there is nothing to label"),
        ("/v1/classify", {"input": "word " * 200}, "shorten it, or have it truncated"),
        ("/v1/classify", {"input": []}, "input"),
        ("/v1/classify", {"input": "x", "top_p": 1}, "top_p: no such parameter"),
        ("/v1/classify", {"input": "\ud800"}, "no JSON in UTF-8"),
    ],
)
def test_what_cannot_be_done_is_a_400_with_the_reason(labels, path, body, said):
    made = httpx.post(
        labels.url + path, content=json.dumps(body).encode(), headers={"content-type": "application/json"}, timeout=1800
    )
    assert made.status_code == 400
    assert said in made.json()["error"]["message"]


def test_a_long_text_is_read_as_far_as_it_goes_where_that_is_wanted(labels):
    made = post(labels, "/v1/classify", {"input": "word " * 200, "truncate": True})
    assert (made.status_code, made.json()["usage"]["prompt_tokens"]) == (200, 64)


def test_a_language_model_has_no_labels(server):
    made = post(server, "/v1/classify", {"input": "x"})
    assert made.status_code == 400
    assert made.json()["error"]["message"] == "small writes text and has no labels; POST to /v1/completions"
