"""A POST to a webhook: certificates verified, no redirects, one attempt."""

import http.client
import time
import urllib.error
import urllib.request
from typing import IO, Any
from urllib.parse import urlsplit

from tasks.notices.bodies import Kind, Request, make_request, problem_of
from tasks.notices.delivery import DeliveryError
from tasks.notices.message import Notice, Told

_MAX_REPLY_BYTES = 65_536


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would hand the message, and perhaps the token, to another address."""

    def redirect_request(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


def post_notice(
    kind: Kind, url: str, notice: Notice, told: Told, *, secret: str | None = None, timeout_s: float
) -> None:
    """Send a notice to a webhook. Raises DeliveryError, which says whether another attempt may help."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise DeliveryError("its address is no http:// or https:// URL", is_passing=False)
    request = make_request(kind, url, notice, told, secret=secret, now_s=time.time())
    if problem := problem_of(kind, _post(request, timeout_s)):
        raise DeliveryError(problem, is_passing=False)


def _post(request: Request, timeout_s: float) -> bytes:
    """The reply's body; TLS is urllib's default, which verifies."""
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "gristmill", **request.headers}
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        made = urllib.request.Request(request.url, request.body, headers, method="POST")
        with opener.open(made, timeout=timeout_s) as reply:
            return bytes(reply.read(_MAX_REPLY_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(200).decode("utf-8", errors="replace")
        passing = error.code >= 500 or error.code == 429
        raise DeliveryError(f"it answered {error.code} {error.reason}: {said}", is_passing=passing) from None
    except urllib.error.URLError as error:
        raise DeliveryError(f"cannot be reached: {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DeliveryError(f"cannot be reached: {error}") from None
