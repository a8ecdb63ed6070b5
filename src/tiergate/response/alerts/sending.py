"""The step of the watch's loop that tells people: gathers what happened, and sends what is due."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from tiergate.clock import HOUR, Clock
from tiergate.errors import InputError, TiergateError
from tiergate.gateway.connecting import DeliveryError, post
from tiergate.response.alerts import events, mail, ocsf, slack, webhook
from tiergate.response.alerts.events import Alert
from tiergate.response.alerts.outbox import Outbox
from tiergate.response.alerts.sinks import (
    FILE,
    Email,
    Ocsf,
    Secret,
    Sink,
    Slack,
    Webhook,
    address_fault,
    load_sinks,
    read_secret,
)

STEP_S: Final = 30.0
"""Sending stops after so long: looks matter more."""
AT_ONCE: Final = 100
FAILING_FROM: Final = 3
"""Looks in a row that come to nothing before somebody is told."""


class Alerting:
    """Alerts of the deployment in the folder ``data``. ``environment``: where secrets may be."""

    def __init__(self, data: Path, engine: sa.Engine, clock: Clock, environment: Mapping[str, str]) -> None:
        self._data, self._clock, self._environment = data, clock, environment
        self.outbox = Outbox(engine)
        self._forgot_us = 0

    def sinks(self) -> list[Sink]:
        """Raises `InputError` when `alerts.toml` is wrong."""
        return load_sinks(self._data / FILE)

    def step(self) -> list[str]:
        """Gather and send. Returns what went wrong, in words; what was not sent is sent later.

        Raises `InputError` for a wrong `alerts.toml`: nothing is gathered until it is right, so nothing is lost.
        """
        sinks, faults = self.sinks(), []
        self.outbox.gather(sinks, self._clock.now_us())
        until = time.monotonic() + STEP_S
        for sink in sinks:
            fault = self._send(sink, until)
            if fault is not None:
                faults.append(fault)
        now_us = self._clock.now_us()
        if now_us - self._forgot_us > HOUR:
            self.outbox.forget(now_us)
            self._forgot_us = now_us
        return faults

    def failed(self, looks: int, since_us: int) -> None:
        """Tell that ``looks`` looks in a row came to nothing, once, when they are enough."""
        if looks == FAILING_FROM:
            self.outbox.add(events.failing(looks, since_us), self.sinks(), self._clock.now_us())

    def _send(self, sink: Sink, until: float) -> str | None:
        """Send what is due, until a sink refuses: then the rest waits too."""
        for queued in self.outbox.due(sink.name, self._clock.now_us(), AT_ONCE):
            if time.monotonic() > until:
                return None
            try:
                self.deliver(queued.alert, sink)
            except Exception as error:
                # Whatever is wrong with one alert or sink, looks and the other sinks go on.
                final = isinstance(error, DeliveryError) and error.final
                fault = str(error) if isinstance(error, TiergateError) else f"internal error: {type(error).__name__}"
                self.outbox.failed(queued, self._clock.now_us(), fault, final=final)
                return f"alert to `{sink.name}`: {fault}"
            self.outbox.sent(queued, self._clock.now_us())
        return None

    def deliver(self, alert: Alert, sink: Sink) -> None:
        """Send one alert. Raises `DeliveryError`, or `InputError` for a secret that is wrong or not there."""
        match sink:
            case Webhook():
                payload = webhook.body(alert)
                now_s = self._clock.now_us() // 1_000_000
                headers = webhook.signed(alert.alert_id, now_s, payload, self._secret(sink.secret))
                post(sink.url, payload, headers, private=sink.private, ca_file=sink.ca_file)
            case Slack():
                url = self._secret(sink.url)
                fault = address_fault(url, private=sink.private)
                if fault is not None:
                    raise InputError(f"the address in its secret: {fault}")
                post(url, slack.body(alert), {}, private=sink.private, ca_file=sink.ca_file)
            case Email():
                password = None if sink.password is None else self._secret(sink.password)
                mail.send(mail.message(alert, sink), sink, password)
            case Ocsf(file=str(file)):
                ocsf.append(self._data / file, ocsf.body(alert))
            case Ocsf(url=str(url), authorization=secret):
                headers = {} if secret is None else {"Authorization": self._header(secret)}
                post(url, ocsf.body(alert), headers, private=sink.private, ca_file=sink.ca_file)

    def _secret(self, secret: Secret) -> str:
        return read_secret(secret, self._environment, self._data)

    def _header(self, secret: Secret) -> str:
        value = self._secret(secret)
        if not (value.isascii() and value.isprintable()):
            raise InputError("its secret is no value of a header: one line of ASCII")
        return value
