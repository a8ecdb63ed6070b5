"""`alerts.toml`: what it may say, and what is wrong with it otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.response.alerts.conftest import AN_ALERT
from tiergate.errors import InputError
from tiergate.response.alerts.events import failing
from tiergate.response.alerts.sinks import Email, Ocsf, Secret, Slack, Webhook, load_sinks, read_secret

GOOD = """
[[sinks]]
name = "siem"
kind = "webhook"
url = "https://hooks.example.com/tiergate?token=a%20b"
secret = {env = "HOOK_SECRET"}
types = ["case.*", "watch.failing"]

[[sinks]]
name = "chat"
kind = "slack"
url = {file = "slack-url"}

[[sinks]]
name = "post"
kind = "email"
host = "smtp.example.com"
from = "tiergate@example.com"
to = ["trust@example.com"]
user = "tiergate"
password = {env = "SMTP_PASSWORD"}

[[sinks]]
name = "lake"
kind = "ocsf"
file = "ocsf.jsonl"
"""


def test_each_kind_is_read(tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    assert load_sinks(path) == []
    path.write_text(GOOD)
    sinks = load_sinks(path)
    assert [type(one) for one in sinks] == [Webhook, Slack, Email, Ocsf]
    failing_watch = failing(3, 0)
    assert [one.wants(AN_ALERT) for one in sinks] == [True] * 4
    assert [one.wants(failing_watch) for one in sinks] == [True, True, True, False]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sinks = 1", "no list of sinks"),
        ('[[sinks]]\nname = "a"\nkind = "fax"', "fax"),
        (("host = ", 'secret = "x"\nhost = '), "unknown field `secret`"),
        (('{env = "HOOK_SECRET"}', '"whsec_abc"'), "no list of sinks"),
        (('{env = "HOOK_SECRET"}', "{}"), "a secret is either"),
        (('name = "chat"', 'name = "siem"'), "there twice"),
        (('name = "chat"', 'name = "Chat room"'), "lower-case"),
        (("case.*", "cases"), "no type `cases`"),
        (("https://hooks.example.com/tiergate", "http://hooks.example.com/tiergate"), "`private = true`"),
        (("https://hooks.example.com/tiergate", "https://169.254.169.254/latest"), "never a sink"),
        (("https://hooks.example.com/tiergate", "https://0xA9FEA9FE/x"), "all four parts"),
        (("https://hooks.example.com/tiergate", "https://ann:pw@hooks.example.com/x"), "plain ASCII"),
        (("https://hooks.example.com/tiergate", "https://10.1.2.3/x"), "`private = true`"),
        (("https://hooks.example.com/tiergate?token=a%20b", "hooks.example.com"), "give an http or https address"),
        (('"smtp.example.com"', '"metadata.google.internal"'), "never a sink"),
        (('"smtp.example.com"', '"smtp.example.com"\ntls = "none"'), "in the clear"),
        (('"smtp.example.com"', '"smtp.corp"\nprivate = true\ntls = "none"'), "a password never"),
        (("trust@example.com", "trust@example.com>\\nbcc: x@y.z"), "are addresses"),
        (('user = "tiergate"', ""), "both `user` and `password`"),
        (('file = "ocsf.jsonl"', ""), "either `file` or `url`"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, change: str | tuple[str, str], said: str) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text(change if isinstance(change, str) else GOOD.replace(*change))
    with pytest.raises(InputError) as raised:
        load_sinks(path)
    assert said in str(raised.value)
    assert "whsec_abc" not in str(raised.value)


def test_a_secret_is_read_anew_and_its_absence_said(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("one\n")
    from_file = Secret(file="secret")
    assert read_secret(from_file, {}, tmp_path) == "one"
    (tmp_path / "secret").write_text("two\n")
    assert read_secret(from_file, {}, tmp_path) == "two"
    assert read_secret(Secret(env="A"), {"A": "three"}, tmp_path) == "three"
    (tmp_path / "secret").write_text("")
    for missing in (Secret(env="B"), from_file, Secret(file="nowhere")):
        with pytest.raises(InputError):
            read_secret(missing, {}, tmp_path)
