"""E-mail through a real SMTP server on loopback, plain, by STARTTLS and over TLS."""

import asyncio
import email
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from params.notify import EmailParams, NotifyParams
from tasks.notices.message import Notice, tell
from tasks.notices.sending import send_notice

PASSWORD = "open-sesame"
ENVIRON = {"GRISTMILL_SMTP_PASSWORD": PASSWORD}


class Mailbox:
    """What the server took; it refuses recipients whose name begins with nobody."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.logins: list[str] = []
        self.by_starttls: list[bool] = []
        self.failures: list[str] = []

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options) -> str:  # noqa: N802
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.failures:
            return self.failures.pop(0)
        self.envelopes.append(envelope)
        self.by_starttls.append(session.ssl is not None)
        return "250 taken"

    def check(self, server, session, envelope, mechanism: str, login: LoginPassword) -> AuthResult:
        self.logins.append(login.login.decode())
        return AuthResult(success=login.password.decode() == PASSWORD, handled=False)

    def message(self) -> EmailMessage:
        """The only message, parsed."""
        (envelope,) = self.envelopes
        return email.message_from_bytes(envelope.content, policy=default)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    built = built.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = built.sign(key, hashes.SHA256())
    path = tmp_path_factory.mktemp("certificate") / "server.pem"
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = serialization.Encoding.PEM
    path.write_bytes(signed.public_bytes(pem) + key.private_bytes(pem, *plain))
    return path


Serve = Callable[..., tuple[Mailbox, int]]


@pytest.fixture
def serve(certificate: Path) -> Iterator[Serve]:
    """`serve(security)`: a mail server that wants a login; its mailbox and port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servers: list[asyncio.Server] = []

    def start(security: str = "none", *, auth: bool = True) -> tuple[Mailbox, int]:
        mailbox = Mailbox()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        more = {"tls_context": context} if security == "starttls" else {}
        if auth:
            more |= {
                "authenticator": mailbox.check,
                "auth_required": security == "starttls",
                "auth_require_tls": security == "starttls",
            }
        listening = loop.create_server(
            lambda: SMTP(mailbox, loop=loop, enable_SMTPUTF8=True, **more),
            host="127.0.0.1",
            port=0,
            ssl=context if security == "tls" else None,
        )
        servers.append(asyncio.run_coroutine_threadsafe(listening, loop).result(30))
        return mailbox, servers[-1].sockets[0].getsockname()[1]

    yield start
    asyncio.run_coroutine_threadsafe(_close(servers), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def _close(servers: list[asyncio.Server]) -> None:
    """Close the servers and end what is left of their sessions."""
    for server in servers:
        server.close()
    sessions = asyncio.all_tasks() - {asyncio.current_task()}
    for session in sessions:
        session.cancel()
    await asyncio.gather(*sessions, return_exceptions=True)


def mail(port: int, **more) -> NotifyParams:
    params = {"security": "none", "user": "miller@example.com", "to": ("a@example.com", "b@example.com")} | more
    return NotifyParams(email=(EmailParams(host="127.0.0.1", port=port, **params),), timeout_s=20)


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_a_message_arrives_at_every_recipient_encrypted_as_asked(
    security, serve, notice: Notice, certificate, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    mailbox, port = serve(security)
    assert send_notice(notice, mail(port, security=security), ENVIRON)[0].problem is None
    assert mailbox.logins == ["miller@example.com"]
    assert mailbox.by_starttls == [security == "starttls"]  # with tls the server understands nothing else
    assert mailbox.envelopes[0].rcpt_tos == ["a@example.com", "b@example.com"]
    message = mailbox.message()
    assert message["Subject"] == "[gristmill] gristmill-tiny: converged"
    assert message["From"] == "miller@example.com"
    assert message["To"] == "a@example.com, b@example.com"
    assert "Reason: validation loss 3.2100 reached 3.5" in message.get_content().splitlines()


def test_a_chinese_message_arrives_as_it_was_written(serve, notice: Notice):
    mailbox, port = serve()
    params = mail(port).model_copy(update={"language": "zh"})
    assert send_notice(notice, params, ENVIRON)[0].problem is None
    assert mailbox.message()["Subject"] == "[gristmill] gristmill-tiny: 已收敛"
    assert mailbox.message().get_content().rstrip().replace("\r\n", "\n") == tell(notice, "zh").plain


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_is_refused(security, serve, notice: Notice):
    mailbox, port = serve(security)
    assert "certificate verify failed" in str(send_notice(notice, mail(port, security=security), ENVIRON)[0].problem)
    assert mailbox.envelopes == mailbox.logins == []


def test_a_server_without_starttls_gets_neither_password_nor_message(serve, notice: Notice):
    mailbox, port = serve("none")
    assert "STARTTLS" in str(send_notice(notice, mail(port, security="starttls"), ENVIRON)[0].problem)
    assert mailbox.envelopes == mailbox.logins == []


def test_a_wrong_password_is_reported_without_it_and_not_tried_again(serve, notice: Notice):
    mailbox, port = serve()
    problem = str(send_notice(notice, mail(port), {"GRISTMILL_SMTP_PASSWORD": "wrong-password"})[0].problem)
    assert problem.startswith("it answered 535")
    assert "wrong-password" not in problem
    assert set(mailbox.logins) == {"miller@example.com"}
    assert mailbox.envelopes == []


def test_a_password_beyond_ascii_is_an_error_that_says_so(serve, notice: Notice):
    _, port = serve()
    problem = str(send_notice(notice, mail(port), {"GRISTMILL_SMTP_PASSWORD": "芝麻开门"})[0].problem)
    assert "beyond ASCII" in problem
    assert "芝麻开门" not in problem


def test_a_recipient_that_is_refused_is_named_and_the_others_get_the_message_once(serve, notice: Notice):
    mailbox, port = serve()
    params = mail(port, to=("nobody@example.com", "a@example.com"))
    problem = str(send_notice(notice, params, ENVIRON)[0].problem)
    assert problem == "told the others, but not nobody@example.com (550 no such user)"
    assert [envelope.rcpt_tos for envelope in mailbox.envelopes] == [["a@example.com"]]
    nobody = mail(port, to=("nobody@example.com",))
    assert "no recipient was accepted" in str(send_notice(notice, nobody, ENVIRON)[0].problem)


def test_a_busy_server_is_asked_once_more(serve, notice: Notice):
    mailbox, port = serve()
    mailbox.failures = ["451 try again later"]
    assert send_notice(notice, mail(port), ENVIRON)[0].problem is None
    assert len(mailbox.envelopes) == 1


def test_without_a_user_nobody_logs_in(serve, notice: Notice):
    mailbox, port = serve(auth=False)
    assert send_notice(notice, mail(port, user=None, sender="mill@example.com"), {})[0].problem is None
    assert mailbox.message()["From"] == "mill@example.com"
    assert mailbox.logins == []


def test_a_password_that_is_not_set_is_named(notice: Notice):
    (delivery,) = send_notice(notice, mail(1), {})
    assert delivery.channel == "notify.email.0 (127.0.0.1)"
    assert delivery.problem == "the environment variable GRISTMILL_SMTP_PASSWORD is not set"
