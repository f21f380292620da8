"""One request on the wire whose client does not read."""

import asyncio

from params.serve import ServeParams
from tasks.serving.app import completion_question
from tasks.serving.exchange import Exchange
from tasks.serving.metrics import ServerMetrics
from tasks.serving.openai_types import CompletionRequest
from tasks.serving.service import FolderSource, Service


def ask(service, **changes):
    request = CompletionRequest(prompt="The", max_tokens=60, logit_bias={"0": -100.0}, stream=True, **changes)
    return Exchange(service, completion_question(request, service, 10))


async def stay():
    await asyncio.Event().wait()


async def stuck(message):
    if message["type"] == "http.response.body":
        await stay()


def test_a_client_that_takes_nothing_stalls_nobody(bundle):
    async def run():
        service = Service(FolderSource(bundle), ServeParams(send_timeout_s=1800, max_batch=2), ServerMetrics())
        await service.start()
        taken = []

        async def eager(message):
            taken.append(message)

        slow = asyncio.create_task(ask(service)({"type": "http"}, stay, stuck))
        await ask(service)({"type": "http"}, stay, eager)
        assert not slow.done()  # the other was answered while this one took nothing
        slow.cancel()
        await asyncio.wait([slow])
        await service.stop()
        return taken

    taken = asyncio.run(run())
    assert taken[-1]["body"].endswith(b"data: [DONE]\n\n")
    assert taken[-1]["more_body"] is False


def test_a_client_that_takes_nothing_is_given_up(bundle):
    async def run():
        service = Service(FolderSource(bundle), ServeParams(send_timeout_s=0.1), ServerMetrics())
        await service.start()
        await ask(service)({"type": "http"}, stay, stuck)
        left = dict(service.inboxes)
        await service.stop()
        return left, service.metrics.cancelled._value.get()

    assert asyncio.run(run()) == ({}, 1.0)


def test_a_vanished_client_frees_its_place_before_anything_was_made(bundle):
    async def run():
        service = Service(FolderSource(bundle), ServeParams(max_batch=1), ServerMetrics())
        await service.start()

        async def gone():
            return {"type": "http.disconnect"}

        async def nothing(message):
            """Nobody reads it."""

        await ask(service, n=4)({"type": "http"}, gone, nothing)
        left = dict(service.inboxes)
        await service.stop()
        return left, service.metrics.cancelled._value.get()

    assert asyncio.run(run()) == ({}, 1.0)
