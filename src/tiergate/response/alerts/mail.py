"""Alerts as e-mail over SMTP. The message's id is the alert's, so that a mailbox can tell one that came twice."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.utils import formatdate

from tiergate.gateway.connecting import TIMEOUT_S, DeliveryError, connect, ended, tls_context
from tiergate.response.alerts.events import Alert, one_line
from tiergate.response.alerts.sinks import Email


def message(alert: Alert, sink: Email) -> EmailMessage:
    """The alert in plain text: its title, then a line for each thing that is known."""
    mail = EmailMessage()
    mail["From"], mail["To"] = sink.sender, ", ".join(sink.to)
    mail["Subject"] = f"[tiergate] {alert.title}"
    mail["Date"] = formatdate(alert.at_us / 1e6)
    mail["Message-ID"] = f"<{alert.alert_id}@{sink.sender.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's out-of-office answers it
    known = [f"{name}: {one_line(str(value))}" for name, value in alert.data.items() if value is not None]
    mail.set_content("\n".join([alert.title, "", *known, "", f"{alert.type} {alert.alert_id}"]) + "\n")
    return mail


def send(mail: EmailMessage, sink: Email, password: str | None) -> None:
    """Hand a message to the sink's server. Raises `DeliveryError`."""
    server = _Server(sink)
    try:
        with ended(lambda: server.sock), _said():
            server.connect(sink.host, sink.port)
            if sink.tls == "starttls":
                server.starttls(context=tls_context(sink.ca_file))
            if sink.user is not None and password is not None:
                server.login(sink.user, password)
            refused = server.send_message(mail)
            with suppress(OSError):  # it has the message, however it says good-bye
                server.quit()
    finally:
        server.close()
    if refused:
        # The others have it: sending it again would reach them twice.
        raise DeliveryError(f"the server refused {len(refused)} of {len(sink.to)} recipients", final=True)


@contextmanager
def _said() -> Iterator[None]:
    """What the server said against a message, as `DeliveryError`."""
    try:
        yield
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error if isinstance(error.smtp_error, str) else error.smtp_error.decode(errors="replace")
        words = "".join(one for one in said if one.isprintable())[:200]
        raise DeliveryError(f"the server answered {error.smtp_code}: {words}") from error
    except smtplib.SMTPNotSupportedError as error:
        raise DeliveryError("the server offers no STARTTLS, or no way to log in") from error
    except smtplib.SMTPException as error:
        raise DeliveryError(f"the server did not take the message: {type(error).__name__}") from error


class _Server(smtplib.SMTP):
    """An SMTP client that connects to checked addresses only."""

    def __init__(self, sink: Email) -> None:
        super().__init__(timeout=TIMEOUT_S)
        self._sink = sink
        self._host = sink.host  # what STARTTLS checks the certificate against

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002 - theirs
        opened = connect(host, port, private=self._sink.private)
        if self._sink.tls == "tls":
            return tls_context(self._sink.ca_file).wrap_socket(opened, server_hostname=host)
        return opened
