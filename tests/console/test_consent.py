"""Forms that need more than a session: a passkey's consent to exactly one call, or the password again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from playwright.sync_api import Page, expect

from tests.console.conftest import PASSWORD, Console, picture
from tiergate.api.operators import Role
from tiergate.clock import DAY

Open = Callable[..., Page]


def authenticator(page: Page) -> None:
    """A passkey's device, as Chromium simulates it for tests (WebAuthn level 3, section 11: automation)."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
               "isUserVerified": True, "automaticPresenceSimulation": True}  # fmt: skip
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_a_passkey_is_registered_with_the_password_and_then_listed(console: Console, open_page: Open) -> None:
    operator_id = console.person("ana@example.com", Role.ADMINISTRATOR)
    page = open_page(console, operator_id)
    authenticator(page)
    page.goto(f"{console.address}/account")
    form = page.locator("form[data-passkey=create]")
    form.get_by_label("Password now").fill("wrong horse battery")
    form.get_by_role("button").click()
    expect(form.get_by_role("alert")).to_contain_text("do not go together")
    assert console.services.passkeys.of(operator_id) == []
    form.get_by_label("Password now").fill(PASSWORD)
    form.get_by_role("button").click()
    expect(page.get_by_text("Registered")).to_be_visible()
    picture(page, "account")
    assert len(console.services.passkeys.of(operator_id)) == 1
    post_proposal(page, console)
    expect(page.get_by_text("Your passkey will be asked")).to_be_visible()
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.get_by_role("status")).to_contain_text("Propose to activate or deactivate a pack")
    assert [one.proposed_by for one in proposals(console)] == ["ana@example.com"]


def test_without_a_passkey_the_password_consents_and_a_session_alone_does_not(
    console: Console, open_page: Open
) -> None:
    page = open_page(console, console.person("ana@example.com", Role.ADMINISTRATOR))
    page.goto(f"{console.address}/account")
    post_proposal(page, console)
    expect(page.get_by_role("heading", name="Is this what you want?")).to_be_visible()
    picture(page, "confirm")
    page.get_by_label("Your password again").fill("wrong horse battery")
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.get_by_role("alert")).to_contain_text("do not go together")
    assert proposals(console) == []
    page.get_by_label("Your password again").fill(PASSWORD)
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.get_by_role("status")).to_contain_text("Propose to activate or deactivate a pack")
    assert len(proposals(console)) == 1
    outcomes = [entry.outcome for entry in console.services.audit.newest() if entry.operation == "propose_pack"]
    assert outcomes == ["done", "sign_in_refused"]


def proposals(console: Console) -> list[object]:
    return list(console.services.proposals.every(console.clock.now_us()))


def post_proposal(page: Page, console: Console) -> None:
    """Send a form as a page of ours would."""
    day = datetime.fromtimestamp((console.clock.now_us() + DAY) / 1_000_000, UTC).date()
    fields = {"path.pack": "ofac_50", "action": "activate", "day": day.isoformat(), "reason": "from today on",
              "next": "/account"}  # fmt: skip
    page.evaluate(
        """(fields) => {
            const form = document.createElement("form");
            form.method = "post"; form.action = "/act/propose_pack";
            const csrf = document.querySelector("main input[name=csrf]").value;
            for (const [name, value] of Object.entries({...fields, csrf})) {
                const field = document.createElement("input");
                field.name = name; field.value = value; form.append(field);
            }
            document.body.append(form); form.submit();
        }""",
        fields,
    )
