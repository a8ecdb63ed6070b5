"""The June drill, small: it holds, and its report is verified offline by the key that signed it and no other."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from benchmarks.june_drill import drill, sign_report, verify_report
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.gateway.conftest import GIVE_UP_S


def test_the_order_reaches_every_gateway_and_touches_nobody_else(tmp_path: Path) -> None:
    report = drill(tmp_path, people=60, workers=2, rate=30, before_s=1.5, after_s=4, promised_s=GIVE_UP_S)
    answers, books = report["answers"], report["books"]
    assert not any(books["must_be_0"].values()), books
    assert not any(answers["must_be_0"].values()), answers
    assert report["held"]
    assert answers["seconds_to_live"]["last_worker"] < GIVE_UP_S
    assert set(answers["answers_after_commit"]["eligible"]) == {"served"}
    assert report["change"]["pack"] == "june_order"
    key = Ed25519PrivateKey.generate()
    signed = json.loads(json.dumps(sign_report(report, key)))
    assert verify_report(signed, signed["public_key"])
    other = base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    assert not verify_report(signed, other)
    signed["report"]["answers"]["must_be_0"]["eligible_refused"] = 1
    assert not verify_report(signed, signed["public_key"])
