"""Alerts as Detection Findings (class 2004) of the Open Cybersecurity Schema Framework 1.9.0, schema.ocsf.io."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import msgspec

import tiergate
from tiergate.gateway.connecting import DeliveryError
from tiergate.response.alerts.events import Alert

VERSION: Final = "1.9.0"
CLASS_UID: Final = 2004
CREATE, UPDATE, CLOSE = 1, 2, 3
_ACTIVITY: Final = {"case.opened": CREATE, "test": CREATE, "case.closed": CLOSE}
_SEVERITY: Final = {"watch": 2, "verify": 3, "limit": 4, "summarise": 4, "suspend": 5}
"""Low, medium, high and critical."""
_NEW, _IN_PROGRESS, _RESOLVED = 1, 2, 4
_STATISTICAL: Final = 3


def event(alert: Alert) -> dict[str, Any]:
    """One finding for each case, under the case's id: created, updated, closed. Times in milliseconds."""
    data, activity = alert.data, _ACTIVITY.get(alert.type, UPDATE)
    case_id = data.get("case_id", alert.alert_id)
    steps = [_SEVERITY[one] for one in (data.get("step"), data.get("proposed")) if one]
    confidence = data.get("confidence")
    known = {name: value for name, value in data.items() if value is not None and name != "account_ids"}
    made: dict[str, Any] = {
        "activity_id": activity,
        "category_uid": 2,
        "class_uid": CLASS_UID,
        "type_uid": CLASS_UID * 100 + activity,
        "time": alert.at_us // 1000,
        "message": alert.title,
        "severity_id": max(steps, default=1),
        "status_id": {CREATE: _NEW, CLOSE: _RESOLVED}.get(activity, _IN_PROGRESS),
        "is_alert": alert.type not in ("case.closed", "test"),
        "metadata": {
            "version": VERSION,
            "uid": alert.alert_id,
            "product": {"name": "Tiergate", "vendor_name": "Tiergate", "version": tiergate.__version__},
        },
        "finding_info": {
            "uid": case_id,
            "title": alert.title,
            "types": [alert.type],
            "analytic": {"name": "tiergate detect", "type_id": _STATISTICAL, "version": tiergate.__version__},
        },
        "unmapped": known,
    }
    if confidence is not None:
        made |= {"confidence_score": round(confidence * 100), "confidence_id": 3 if confidence >= 0.95 else 2}
    if "account_ids" in data:
        made["resources"] = [{"uid": account, "type": "account"} for account in data["account_ids"]]
    return made


def body(alert: Alert) -> bytes:
    """The finding as one line of JSON, without its end."""
    return msgspec.json.encode(event(alert))


def append(path: Path, line: bytes) -> None:
    """Append a line, safe on the disk when this returns. Raises `DeliveryError`.

    The file is opened anew each time: whatever rotates logs may move it away.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(file).st_size
            # What a line that was cut off leaves must not swallow the next.
            torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
            left = memoryview((b"\n" if torn else b"") + line + b"\n")
            while left:
                left = left[os.write(file, left) :]
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise DeliveryError(f"cannot append to `{path}`: {error.strerror}") from error
