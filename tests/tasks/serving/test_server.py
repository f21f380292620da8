"""A server on loopback, asked by OpenAI's own client and by clients that misbehave."""

import asyncio
import json
import os
import shutil
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import openai
import pytest

from params.errors import ParameterError, ReleaseError, ServerError
from params.serve import ServeParams
from tasks.serving.api_keys import read_keys
from tasks.serving.generator import OnnxModel
from tasks.serving.server import serve as run_server
from tasks.serving.service import FolderSource

PROMPTS = ["The mill", "床前明月光", "The function returns", "To install", "x", "举头"]
KEY = "a-key-of-twenty-signs"
ENDLESS = {"prompt": "The", "max_tokens": 63, "temperature": 2.0, "logit_bias": {"0": -100}}
"""A request that no end of text cuts short."""
HASTY = """
import json, socket, sys
from pathlib import Path
from params.serve import ServeParams
from tasks.serving.api_keys import read_keys
from tasks.serving.server import serve
from tasks.serving.service import FolderSource
def say(line):
    host, _, port = line.rpartition("/")[2].rpartition(":")
    socket.create_connection((host, int(port))).close()
    print(line, flush=True)
serve(FolderSource(Path(sys.argv[1])), ServeParams(port=0), read_keys(None), say=say)
"""
"""A server that is called in the very moment that it says where it is."""


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def alone(bundle):
    return OnnxModel(bundle / "onnx" / "fp32")


def test_concurrent_requests_get_what_the_bundle_gives_alone(client, alone):
    def ask(prompt):
        made = client.completions.create(model="small", prompt=prompt, temperature=0, max_tokens=40)
        return made.choices[0].text

    with ThreadPoolExecutor(12) as pool:
        made = list(pool.map(ask, PROMPTS * 4))
    expected = [texts[0] for texts in alone.generate(PROMPTS, greedy=True, max_new_tokens=40)]
    assert made == expected * 4


def test_a_stream_gives_whole_characters_that_add_up_and_ends_with_the_usage(client, alone):
    stream = client.completions.create(
        model="small",
        prompt="床前明月光",
        temperature=0,
        max_tokens=40,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    texts = [choice.text for chunk in chunks for choice in chunk.choices]
    assert "".join(texts) == alone.generate(["床前明月光"], greedy=True, max_new_tokens=40)[0][0]
    assert "\ufffd" not in "".join(texts)
    assert chunks[-1].choices == []
    assert chunks[-1].usage.prompt_tokens == len(alone.encode("床前明月光"))
    ends = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert ends == ["stop"]


def test_a_seed_gives_the_same_texts_as_the_bundle_itself(client, alone):
    made = client.completions.create(
        model="small", prompt="The", seed=5, n=3, temperature=1.8, top_p=1, max_tokens=20, extra_body={"top_k": 0}
    )
    expected = alone.generate(
        ["The"], num_continuations=3, seed=5, temperature=1.8, top_p=1.0, top_k=0, max_new_tokens=20
    )
    assert [choice.text for choice in made.choices] == expected[0]
    assert len({choice.text for choice in made.choices}) == 3


def test_a_chat_is_rendered_by_the_template_and_ends_at_its_marker(client, alone):
    made = client.chat.completions.create(model="small", messages=[{"role": "user", "content": "How?"}], temperature=0)
    # <|pad|> ends a turn; the prompt is led by the template's own begin token
    before = [0, *alone.tokenizer.encode("user: How?").ids, 1, *alone.tokenizer.encode("\nTo install the").ids]
    assert made.usage.prompt_tokens == len(before)
    assert made.choices[0].message.content == " package, run pip install gristmill."
    assert made.choices[0].finish_reason == "stop"
    pieces = client.chat.completions.create(
        model="small", messages=[{"role": "user", "content": "How?"}], temperature=0, stream=True
    )
    deltas = [chunk.choices[0].delta for chunk in pieces]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == made.choices[0].message.content


@pytest.mark.parametrize("stop", [" pip install", ["never", "pip in"], "run"])
def test_a_stop_sequence_across_tokens_ends_the_text_before_it(client, stop):
    asked = {"model": "small", "prompt": "To install the", "temperature": 0, "max_tokens": 40, "stop": stop}
    whole = " package, run pip install gristmill."
    expected = whole[
        : min(place for one in ([stop] if isinstance(stop, str) else stop) if (place := whole.find(one)) >= 0)
    ]
    made = client.completions.create(**asked)
    assert made.choices[0].text == expected
    assert made.choices[0].finish_reason == "stop"
    assert "".join(c.choices[0].text for c in client.completions.create(**asked, stream=True)) == expected


def test_probabilities_are_those_of_the_model(client, alone):
    made = client.completions.create(
        model="small", prompt="The mill", temperature=0, max_tokens=3, logprobs=2, echo=True
    ).choices[0]
    tokens = alone.encode(made.text)
    logits = alone.logits([tokens])[0].astype(np.float64)
    table = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = [table[place, token] for place, token in enumerate(tokens[1:])]
    assert made.text.startswith("The mill")
    assert "".join(made.logprobs.tokens) == made.text
    assert made.logprobs.text_offset[0] == 0
    np.testing.assert_allclose(made.logprobs.token_logprobs, expected, atol=1e-3)
    chat = client.chat.completions.create(
        model="small",
        messages=[{"role": "user", "content": "光"}],
        max_tokens=2,
        temperature=0,
        logprobs=True,
        top_logprobs=3,
    )
    for token in chat.choices[0].logprobs.content:
        assert bytes(token.bytes).decode(errors="replace") == token.token or token.token.startswith("bytes:")
        assert [other.logprob for other in token.top_logprobs] == sorted(
            (o.logprob for o in token.top_logprobs), reverse=True
        )
        assert token.top_logprobs[0].token == token.token


def test_a_prompt_can_be_scored_without_making_anything(client, alone):
    tokens = alone.encode("The mill grinds")
    made = client.completions.create(model="small", prompt=tokens, max_tokens=0, echo=True, logprobs=1).choices[0]
    assert made.finish_reason == "length"
    assert made.logprobs.token_logprobs[0] is None
    assert len(made.logprobs.token_logprobs) == len(tokens)


def test_the_model_is_described(client):
    (found,) = client.models.list().data
    assert (found.id, found.owned_by, found.context_length) == ("small", "gristmill", 64)
    assert client.models.retrieve("small").id == "small"
    with pytest.raises(openai.NotFoundError, match="'gpt-4' is not served here; 'small' is"):
        client.models.retrieve("gpt-4")


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(client):
    with pytest.raises(
        openai.BadRequestError, match=r"the prompt has \d+ tokens, the model's context holds 64"
    ) as raised:
        client.completions.create(model="small", prompt="x" * 3000)
    assert raised.value.code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"prompt": "a", "max_tokens": 65}, "max_tokens is 65; it may be 64 at most"),
        ({"prompt": "a", "n": 17}, "1 prompts times n = 17 are more than the 16 texts of a request"),
        ({"prompt": [391]}, "token 391 is not among the model's 391"),
        ({"prompt": "a", "logit_bias": {"391": 1}}, "logit_bias: '391' is no token id below 391"),
        ({"prompt": "a", "logit_bias": {"٣": 1}}, "logit_bias: "),
        ({"prompt": "a", "temperature": -0.1}, "temperature is -0.1"),
    ],
)
def test_what_the_model_cannot_do_is_a_400_with_the_reason(server, body, message):
    with server.client() as client:
        answer = client.post("/v1/completions", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(message)
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_requests_that_are_none_get_an_error_in_the_same_shape(server):
    with server.client() as client:
        json_type = {"Content-Type": "application/json"}
        for status, answer in (
            (415, client.post("/v1/completions", content="{}", headers={"Content-Type": "text/plain"})),
            (413, client.post("/v1/completions", content=b" " * 1_000_001, headers=json_type)),
            (413, client.post("/v1/completions", content=iter([b" " * 600_000] * 2), headers=json_type)),
            (404, client.get("/nothing")),
            (405, client.get("/v1/completions")),
            (421, client.get("/v1/models", headers={"Host": "attacker.example"})),
            (400, client.post("/v1/completions", content=b'{"prompt": "\xff"}', headers=json_type)),
        ):
            assert answer.status_code == status, answer.text
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_sagemaker_finds_its_entries(server):
    with server.client() as client:
        assert client.get("/ping").status_code == 200
        completion = client.post("/invocations", json={"prompt": "To install the", "temperature": 0, "max_tokens": 2})
        chat = client.post("/invocations", json={"messages": [{"role": "user", "content": "How?"}], "temperature": 0})
    assert completion.json()["object"] == "text_completion"
    assert chat.json()["choices"][0]["message"]["content"] == " package, run pip install gristmill."


def test_figures_for_prometheus_count_what_happened(server):
    before = server.metric("gristmill_completion_tokens_total")
    with server.client() as client:
        client.post("/v1/completions", json=ENDLESS | {"max_tokens": 7})
    assert server.metric("gristmill_completion_tokens_total") == before + 7
    assert server.metric("gristmill_time_to_first_token_seconds_count") >= 1


def test_a_client_that_goes_away_is_forgotten(server):
    before = server.metric("gristmill_cancelled_total")
    body = json.dumps(ENDLESS | {"n": 16, "stream": True}).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port)) as gone:
        gone.sendall(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        assert gone.recv(15) == b"HTTP/1.1 200 OK"
    with server.client() as client:  # an answer behind it in the queue comes only once the places are free again
        assert client.post("/v1/completions", json={"prompt": "To", "max_tokens": 1}).status_code == 200
    while server.metric("gristmill_texts_active") + server.metric("gristmill_texts_waiting"):
        pass
    assert server.metric("gristmill_cancelled_total") == before + 1


def test_a_thousand_clients_at_once_get_answers_or_429(server):
    body = json.dumps(ENDLESS | {"max_tokens": 4}).encode()
    head = (
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    )
    request = head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    address = httpx.URL(server.url)

    async def ask():
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer

    async def crowd():
        return await asyncio.gather(*(ask() for _ in range(1000)))

    answers = asyncio.run(crowd())
    statuses = [int(answer.split(maxsplit=2)[1]) for answer in answers]
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= 16 + 64  # those in the batch and the queue
    refused = next(answer for answer in answers if answer.startswith(b"HTTP/1.1 429"))
    assert b"\r\nretry-after: 1\r\n" in refused.lower()
    assert json.loads(refused.partition(b"\r\n\r\n")[2])["error"]["code"] == "queue_full"
    with server.client() as client:
        assert client.post("/v1/completions", json={"prompt": "To", "max_tokens": 1}).status_code == 200


def test_a_server_is_there_when_it_says_so(bundle, start):
    with start(HASTY, str(bundle), env=os.environ | {"GRISTMILL_API_KEYS": ""}) as hasty, hasty.client() as client:
        assert client.get("/ready").json() == {"ready": True}


def test_a_server_with_keys_answers_to_those_who_have_one(bundle, serve):
    with (
        serve(
            bundle, host="0.0.0.0", keys=KEY, request_timeout_s=0.001, body_timeout_s=1.0, max_body_bytes=1000
        ) as locked,
        locked.client() as client,
    ):
        refused = client.get("/v1/models")
        wrong = client.get("/v1/models", headers={"Authorization": f"Bearer {KEY}x"})
        right = client.get("/v1/models", headers={"Authorization": f"Bearer {KEY}"})
        assert [refused.status_code, wrong.status_code, right.status_code] == [401, 401, 200]
        assert refused.json()["error"]["code"] == "invalid_api_key"
        assert refused.headers["www-authenticate"] == "Bearer"
        assert client.get("/health").status_code == client.get("/ready").status_code == 200
        late = client.post("/v1/completions", json=ENDLESS, headers={"Authorization": f"Bearer {KEY}"})
        assert late.status_code == 504
        address = httpx.URL(locked.url)
        with socket.create_connection((address.host, address.port), timeout=1800) as slow:
            head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
            slow.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
            assert slow.recv(12) == b"HTTP/1.1 408"
        for head in (b"", b"GET /health HTTP/1.1\r\nHost: local"):
            with socket.create_connection((address.host, address.port), timeout=1800) as silent:
                silent.sendall(head)
                assert silent.recv(1) == b""  # closed
        with socket.create_connection((address.host, address.port), timeout=1800) as silent:
            silent.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = silent.recv(4096)
            while not answer.endswith(b"}") and (piece := silent.recv(4096)):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200")
            silent.sendall(b"GET")
            assert silent.recv(1) == b""


def test_sigterm_lets_requests_end_and_refuses_new_ones(bundle, serve):
    with serve(bundle, max_batch=1) as server, server.client() as client:
        with client.stream("POST", "/v1/completions", json=ENDLESS | {"stream": True, "n": 16}) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGTERM)
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        ends = [json.loads(line[6:])["choices"][0]["finish_reason"] for line in rest[:-1]]
        assert ends.count("length") == 16
        server.process.wait(timeout=1800)
        assert server.process.returncode == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/ready")


def test_a_bundle_whose_files_are_not_what_they_were_is_refused(bundle, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    with (copy / "onnx" / "fp32" / "model.onnx.data").open("r+b") as weights:
        weights.write(b"\1")
    with pytest.raises(ReleaseError, match=r"1 of \d+ files are missing or differ from SHA256SUMS"):
        run_server(FolderSource(copy), ServeParams(port=0), read_keys(None, {}), say=print)


def test_files_beside_those_of_the_bundle_are_refused(bundle, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    shutil.copytree(copy / "onnx" / "fp32", copy / "onnx" / "fp16")
    with pytest.raises(ReleaseError, match=r"SHA256SUMS does not list onnx/fp16/chat_template\.jinja"):
        run_server(FolderSource(copy), ServeParams(port=0, variant="fp16"), read_keys(None, {}), say=print)


def test_other_machines_are_let_in_with_keys_or_on_purpose_only(bundle):
    with pytest.raises(ParameterError, match=r"host 0\.0\.0\.0 lets other machines in, and there are no API keys"):
        run_server(FolderSource(bundle), ServeParams(host="0.0.0.0"), read_keys(None, {}), say=print)


def test_a_taken_port_is_named(bundle, server):
    port = httpx.URL(server.url).port
    with pytest.raises(ServerError, match=rf"127\.0\.0\.1:{port}: Address already in use; choose another"):
        run_server(FolderSource(bundle), ServeParams(port=port), read_keys(None, {}), say=print)
