"""Alerts for Slack's incoming webhooks and what understands them (Mattermost, Rocket.Chat): `text` and `blocks`."""

from __future__ import annotations

from typing import Final

import msgspec

from tiergate.response.alerts.events import Alert, moment

MOST_FIELDS: Final = 10
"""Slack takes no more in one section, nor more than 2,000 characters in each."""
_SHOWN: Final = (
    "case_id", "step", "step_until", "proposed", "accounts", "exchanges", "value_usd", "confidence", "q_value", "by",
    "appeal_id", "against", "subject_id", "due_at", "outcome", "looks", "since",
)  # fmt: skip


def body(alert: Alert) -> bytes:
    """The message. Nothing in it is taken for markup, a mention or a link."""
    shown = [(name, alert.data[name]) for name in _SHOWN if alert.data.get(name) is not None][:MOST_FIELDS]
    fields: list[object] = [
        {"type": "mrkdwn", "text": f"*{name}*\n{escaped(str(value))[:1000]}"} for name, value in shown
    ]
    title = escaped(alert.title)[:2000]
    where = f"{alert.type}  {moment(alert.at_us)}  {alert.alert_id}"
    blocks: list[dict[str, object]] = [{"type": "section", "text": {"type": "mrkdwn", "text": f"*{title}*"}}]
    if fields:
        blocks.append({"type": "section", "fields": fields})
    blocks.append({"type": "context", "elements": [{"type": "plain_text", "text": where}]})
    return msgspec.json.encode({"text": title, "blocks": blocks})


def escaped(text: str) -> str:
    """Slack's three characters as entities; those that set text in bold, italics, code or struck out, apart from it."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"{one}\u200b" if one in "*~`" else one for one in text)
