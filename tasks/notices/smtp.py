"""A notice by e-mail."""

import platform
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from params.notify import EmailParams
from tasks.notices.delivery import DeliveryError
from tasks.notices.message import Told


def mail_notice(params: EmailParams, told: Told, *, password: str | None, timeout_s: float) -> None:
    """Send a notice to all recipients. Raises DeliveryError, also when the server refuses only some of them."""
    message, context = compose(params, told), ssl.create_default_context()
    try:
        with _connection(params, context, timeout_s) as server:
            if params.security == "starttls":
                server.starttls(context=context)
            if params.user is not None:
                server.login(params.user, password or "")
            refused = server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        raise DeliveryError(f"no recipient was accepted: {_answers(error.recipients)}", is_passing=False) from None
    except smtplib.SMTPResponseException as error:
        passing = 400 <= error.smtp_code < 500
        raise DeliveryError(f"it answered {error.smtp_code} {_text(error.smtp_error)}", is_passing=passing) from None
    except UnicodeEncodeError:  # smtplib encodes logins as ASCII
        why = "the user's name, password or address has characters beyond ASCII, which cannot be sent"
        raise DeliveryError(why, is_passing=False) from None
    except (smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError) as error:
        raise DeliveryError(str(error), is_passing=False) from None
    except OSError as error:
        raise DeliveryError(f"cannot be reached: {error}") from None
    if refused:
        raise DeliveryError(f"told the others, but not {_answers(refused)}", is_passing=False)


def compose(params: EmailParams, told: Told) -> EmailMessage:
    """The message as it is sent."""
    sender = _sender(params)
    message = EmailMessage()
    message["Subject"] = told.title
    message["From"] = sender
    message["To"] = ", ".join(params.to)
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message.set_content(told.plain + "\n")
    return message


def _sender(params: EmailParams) -> str:
    if params.sender is not None:
        return params.sender
    return params.user if params.user is not None and "@" in params.user else f"gristmill@{_host_name()}"


def _connection(params: EmailParams, context: ssl.SSLContext, timeout_s: float) -> smtplib.SMTP:
    """A connection that STARTTLS has yet to encrypt; naming ourselves spares a look-up that can take long."""
    host, port, name = params.host, params.port_number, _host_name()
    if params.security == "tls":
        return smtplib.SMTP_SSL(host, port, local_hostname=name, timeout=timeout_s, context=context)
    return smtplib.SMTP(host, port, local_hostname=name, timeout=timeout_s)


def _host_name() -> str:
    return platform.node() or "localhost"


def _answers(refused: dict[str, tuple[int, bytes]]) -> str:
    return ", ".join(f"{address} ({code} {_text(said)})" for address, (code, said) in refused.items())


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", errors="replace") if isinstance(said, bytes) else said
