"""Chat messages in the shapes that products log them: system text, last user message, answer."""

from __future__ import annotations

from typing import Any

import msgspec


def decoded(value: Any) -> Any:
    """``value``, or what it holds when it is JSON in a string."""
    if isinstance(value, str) and value[:1] in "[{":
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return value
    return value


def text_of(content: Any) -> str | None:
    """Text of a message's content: a string, or parts with `text` or `content`."""
    if isinstance(content, str):
        return content or None
    if isinstance(content, dict):
        return text_of(content.get("text") or content.get("content"))
    if isinstance(content, list):
        return "\n".join(text for part in content if (text := text_of(part))) or None
    return None


def said_by(messages: Any, *roles: str) -> list[str]:
    """Texts of the messages of some roles, in order. A message's text is its `content` or its `parts`."""
    if not isinstance(messages, list):
        return []
    texts = [
        text_of(message.get("content") or message.get("parts"))
        for message in messages
        if isinstance(message, dict) and message.get("role") in roles
    ]
    return [text for text in texts if text]


def system_and_prompt(messages: Any) -> tuple[str | None, str | None]:
    """System text, joined, and the last user message."""
    system = "\n".join(said_by(messages, "system", "developer")) or None
    users = said_by(messages, "user", "human")
    if isinstance(messages, str):
        return None, messages or None
    return system, users[-1] if users else None
