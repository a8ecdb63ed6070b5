"""Checkpoints, witnesses and receipts: what holds passes, and whatever was changed does not."""

from __future__ import annotations

import base64
import copy
import json
import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.decisions import LOG_KEY, NOW_US, ORIGIN, decided, made_log, made_witness, witness_key
from tiergate.errors import InputError, ProofError
from tiergate.ledger.checkpoints import (
    Cosigned,
    Request,
    Witness,
    load_private_key,
    parse_checkpoint,
    parse_request,
    sign_checkpoint,
    verify_checkpoint,
    verify_cosignatures,
)
from tiergate.ledger.decision_log import DecisionLog, add_cosignatures
from tiergate.ledger.decision_reader import COSIGNED, DecisionReader, verify_log
from tiergate.ledger.decision_records import canonical_value
from tiergate.ledger.merkle import leaf_hash
from tiergate.ledger.notes import (
    COSIGNATURE_V1,
    ED25519,
    PrivateKey,
    PublicKey,
    SignatureLine,
    merged,
    parse_note,
    parse_public_key,
)
from tiergate.ledger.personal import PersonalValues
from tiergate.ledger.receipts import make_receipt, verify_receipt

# The examples of c2sp.org/tlog-checkpoint and tlog-cosignature.
EXAMPLE = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\N{EM DASH} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
\N{EM DASH} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""  # noqa: E501
WITNESSES = ("member.example/w", "other.example/w")


@dataclass
class Kept:
    """A log of 30 decisions, 20 of them under a checkpoint with two cosignatures, and a receipt of the twelfth."""

    folder: Path
    receipt: bytes
    witnesses: list[PublicKey]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("receipts") / "log"
    made_log(folder, 20)
    with closing(DecisionReader(folder)) as reader:
        checkpoint = reader.checkpoint()
        assert checkpoint is not None
        lines = [
            made_witness(folder.parent, name).cosign(Request(0, [], checkpoint), NOW_US + n * 1_000_000)
            for n, name in enumerate(WITNESSES)
        ]
        add_cosignatures(folder, checkpoint, lines[:1], LOG_KEY.public)
        add_cosignatures(folder, checkpoint, lines[1:], LOG_KEY.public)
        log = DecisionLog.open(folder)
        log.append([decided(n) for n in range(20, 30)])
        log.sign(LOG_KEY, NOW_US)
        log.close()
        receipt = make_receipt(reader, 11, ["person"])
    return Kept(folder, receipt, [witness_key(name).public for name in WITNESSES])


def test_a_receipt_proves_its_record(kept: Kept) -> None:
    for key in (LOG_KEY.public, LOG_KEY.public.key):
        found = verify_receipt(kept.receipt, key, kept.witnesses)
        assert (found.index, found.checkpoint.size, found.record.outcome) == (11, 20, "REVIEW")
        assert found.record.reasons == ["owner_listed", "purpose_missing"]
        assert found.personal == {"person": "person-4@example.com"}
        assert found.cosigned == [Cosigned(name, NOW_US // 1_000_000 + n) for n, name in enumerate(WITNESSES)]
    assert b"organisation" in kept.receipt
    assert b"org-2" not in kept.receipt
    with closing(DecisionReader(kept.folder)) as reader:
        for index in range(30):
            signed = 20 if index < 20 else 30
            assert verify_receipt(make_receipt(reader, index), LOG_KEY.public).checkpoint.size == signed


def test_what_is_erased_cannot_be_disclosed_and_its_record_still_proved(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    made_log(folder, 9)
    values = PersonalValues(folder / "personal.sqlite")
    values.erase(NOW_US, field="person", value=canonical_value("person-4@example.com"))
    values.close()
    with closing(DecisionReader(folder)) as reader:
        with pytest.raises(InputError, match="erased"):
            make_receipt(reader, 4, ["person"])
        assert verify_receipt(make_receipt(reader, 4, ["organisation"]), LOG_KEY.public).index == 4
        log = DecisionLog.open(folder)
        log.append([decided(9)])
        log.close()
        with pytest.raises(InputError, match="not signed yet"):
            make_receipt(reader, 9)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to every value of a document that is no container."""
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, (*path, key))
    else:
        yield path


@given(st.data())
def test_no_changed_value_of_a_receipt_passes(kept: Kept, data: st.DataObject) -> None:
    changed = json.loads(kept.receipt)
    *path, last = data.draw(st.sampled_from(list(places(changed))))
    at = changed
    for step in path:
        at = at[step]
    old = at[last]
    if data.draw(st.booleans()):
        del at[last]
    elif isinstance(old, str) and old and data.draw(st.booleans()):
        n = data.draw(st.integers(0, len(old) - 1))
        at[last] = old[:n] + data.draw(st.text(max_size=2)) + old[n + 1 :]
    else:
        at[last] = data.draw(st.text() | st.integers() | st.none() | st.lists(st.text(max_size=3), max_size=2))
    if changed != json.loads(kept.receipt):
        with pytest.raises((ProofError, InputError)):
            verify_receipt(json.dumps(changed).encode(), LOG_KEY.public, kept.witnesses)


def test_no_flipped_bit_of_a_receipt_passes(kept: Kept) -> None:
    meant = json.loads(kept.receipt)
    for at in range(len(kept.receipt)):
        changed = bytearray(kept.receipt)
        changed[at] ^= 1 << random.Random(at).randrange(8)
        try:
            same = json.loads(bytes(changed)) == meant
        except ValueError:
            same = False
        if not same:
            with pytest.raises((ProofError, InputError)):
                verify_receipt(bytes(changed), LOG_KEY.public, kept.witnesses)


def test_it_says_what_fails(kept: Kept) -> None:
    def failing(change: Any, *witnesses: PublicKey, key: PublicKey = LOG_KEY.public) -> str:
        changed = copy.deepcopy(json.loads(kept.receipt))
        change(changed)
        with pytest.raises((ProofError, InputError)) as caught:
            verify_receipt(json.dumps(changed).encode(), key, witnesses)
        return str(caught.value)

    stranger = PrivateKey(ORIGIN, ED25519, bytes(32)).public
    assert "no signature by this key" in failing(lambda _: None, key=stranger)
    assert "not of `else.example`" in failing(lambda _: None, key=PublicKey("else.example", ED25519, bytes(32)))
    assert "none by `third.example`" in failing(lambda _: None, witness_key("third.example").public)
    assert "record 11 is not in the log as it was signed" in failing(lambda r: r["record"].update(outcome="ALLOW"))
    assert "record 12 is not in the log" in failing(lambda r: r.update(index=12))
    assert "value of `person` is not the one" in failing(lambda r: r["disclosed"]["person"].update(value="x"))
    assert "this is not a receipt" in failing(lambda r: r.update(extra=1))
    assert "signature of `example.com/decisions` does not fit" in failing(
        lambda r: r.update(checkpoint=r["checkpoint"].replace("\n20\n", "\n21\n"))
    )
    for junk in (b"", b"{}", b"[" * 100_000, b"\xff", b"1" * 3_000_000):
        with pytest.raises(InputError):
            verify_receipt(junk, LOG_KEY.public)


def test_a_quorum_of_witnesses_is_enough_and_one_key_is_one_witness(kept: Kept) -> None:
    third = witness_key("third.example").public
    assert len(verify_receipt(kept.receipt, LOG_KEY.public, [*kept.witnesses, third], quorum=2).cosigned) == 2
    with pytest.raises(ProofError, match="2 of 3 witnesses"):
        verify_receipt(kept.receipt, LOG_KEY.public, [*kept.witnesses, third])
    with closing(DecisionReader(kept.folder)) as reader:
        checkpoint = reader.checkpoint(COSIGNED)
        assert checkpoint is not None
        first, again = (
            witness_key("member.example/w"),
            PrivateKey("alias", COSIGNATURE_V1, sha256(b"member.example/w").digest()),
        )
        alias = Witness(again, [LOG_KEY.public], kept.folder.parent / "alias.json")
        line = alias.cosign(Request(0, [], checkpoint), NOW_US)
        both = checkpoint._replace(note=merged(checkpoint.note, [line]))
        with pytest.raises(ProofError, match="1 of 2 witnesses"):
            verify_cosignatures(both, [first.public, again.public], 2)


def test_the_published_example_is_read_as_it_is_written() -> None:
    checkpoint = parse_checkpoint(EXAMPLE)
    assert (checkpoint.origin, checkpoint.size, len(checkpoint.root)) == ("example.com/behind-the-sofa", 20852163, 32)
    assert [line.name for line in checkpoint.note.signatures] == [checkpoint.origin, "witness.example.com/w1"]
    assert int.from_bytes(checkpoint.note.signatures[1].signature[:8], "big") == 1679315147
    assert str(checkpoint) == EXAMPLE


def test_the_published_example_of_a_note_is_verified() -> None:
    # The key and note of Go's golang.org/x/mod/sumdb/note.
    key = parse_public_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", kind=ED25519)
    note = parse_note(
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
        "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6"
        "KE6RyyBwJnAM=\n"
    )
    (line,) = key.signatures(note)
    key.check(line.signature, note.text.encode())
    assert str(key) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    with pytest.raises(ProofError):
        key.check(line.signature, note.text.encode() + b"\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n20852163\n", "\n020852163\n"),
        ("\n20852163\n", "\n-1\n"),
        ("\n20852163\n", "\n20852163 \n"),
        ("\n20852163\n", "\n\u0662\n"),
        ("q2I=", "q2J="),
        ("q2I=\n", "q2I=\n\n"),
        ("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=", "CsUY"),
        ("\N{EM DASH} witness", "- witness"),
        ("witness.example.com/w1 jWbP", "witness.example.com/w+1 jWbP"),
        ("fZ+qnA==\n", "fZ+qnA=="),
        ("example.com/behind-the-sofa\n2", "example.com/behind\rthe-sofa\n2"),
        (EXAMPLE.split("\n\n")[1], ""),
    ],
)
def test_a_malformed_checkpoint_is_refused(old: str, new: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(InputError):
        parse_checkpoint(EXAMPLE.replace(old, new, 1))


def test_keys_are_read_in_both_forms_and_checked() -> None:
    public = LOG_KEY.public
    assert parse_public_key(f" {public}\n", kind=ED25519) == public
    bare = base64.b64encode(public.key).decode()
    assert parse_public_key(bare, kind=ED25519, name=ORIGIN) == public
    for wrong, kind in (
        (str(public), COSIGNATURE_V1),
        (str(public).replace("+0", "+1", 1).replace("+f", "+0", 1) + "A", ED25519),
        (str(public).replace("example", "exbmple"), ED25519),
        (bare, ED25519),
        ("", ED25519),
    ):
        with pytest.raises(InputError):
            parse_public_key(wrong, kind=kind)


def test_a_signing_key_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = load_private_key(path, ORIGIN)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_private_key(path, ORIGIN).public == key.public
    path.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        load_private_key(path, ORIGIN)
    path.write_bytes(b"short")
    with pytest.raises(InputError, match="not a signing key: expected 32 bytes"):
        load_private_key(path, ORIGIN)
    with pytest.raises(InputError, match="cannot name a key"):
        load_private_key(tmp_path / "other", "two words")


def grown(folder: Path, size: int, start: int = 0) -> Request:
    """The log grown to ``size``, and what it would send to a witness who last saw ``start``."""
    log = DecisionLog.open(folder, origin=ORIGIN)
    log.append([decided(n) for n in range(log.size, size)])
    checkpoint = log.sign(LOG_KEY, NOW_US)
    log.close()
    with closing(DecisionReader(folder)) as reader:
        return Request(start, reader.consistency_proof(start, size) if start else [], checkpoint)


def test_a_witness_cosigns_a_log_that_only_grows(tmp_path: Path) -> None:
    witness = made_witness(tmp_path)
    assert witness.last_size(ORIGIN) == 0
    for old, new in ((0, 3), (3, 3), (3, 7), (7, 20)):
        request = grown(tmp_path / "log", new, old)
        assert str(parse_request(str(request))) == str(request)
        line = witness.cosign(parse_request(str(request)), NOW_US)
        checkpoint = request.checkpoint._replace(note=merged(request.checkpoint.note, [line]))
        verify_checkpoint(checkpoint, LOG_KEY.public)
        key = witness_key("member.example/w").public
        assert verify_cosignatures(checkpoint, [key], 1) == [Cosigned(key.name, NOW_US // 1_000_000)]
        # As another run of the witness remembers it.
        assert made_witness(tmp_path).last_size(ORIGIN) == new


def test_a_witness_refuses_what_does_not_follow(tmp_path: Path) -> None:
    witness = made_witness(tmp_path)
    with pytest.raises(InputError, match="`old 0`"):
        witness.cosign(grown(tmp_path / "log", 3, 2), NOW_US)
    witness.cosign(grown(tmp_path / "log", 5), NOW_US)
    request = grown(tmp_path / "log", 9, 5)
    with pytest.raises(InputError, match="last seen 5"):
        witness.cosign(request._replace(old_size=4), NOW_US)
    with pytest.raises(ProofError, match="empty"):
        witness.cosign(request._replace(proof=[]), NOW_US)
    forged = parse_checkpoint(str(request.checkpoint).replace("\n9\n", "\n8\n"))
    with pytest.raises(ProofError, match="does not fit"):
        witness.cosign(request._replace(checkpoint=forged), NOW_US)
    for name, error, said in ((ORIGIN, ProofError, "no signature"), ("else.example", InputError, "witness knows")):
        strange = sign_checkpoint(PrivateKey(name, ED25519, bytes(32)), 9, request.checkpoint.root)
        with pytest.raises(error, match=said):
            witness.cosign(request._replace(checkpoint=strange), NOW_US)
    assert witness.last_size(ORIGIN) == 5
    witness.cosign(request, NOW_US)
    with pytest.raises(InputError, match="more than 5"):
        witness.cosign(Request(5, [], sign_checkpoint(LOG_KEY, 5, bytes(32))), NOW_US)
    for junk in ("", "old 1", "old 01\n\n", "old 0\nAA==\n\nx\n", f"old 0\n{'AA==' * 3}\n\n{request.checkpoint}"):
        with pytest.raises(InputError):
            parse_request(junk)


@pytest.mark.parametrize("size", [6, 10])
def test_a_log_that_shows_two_histories_is_found_out(tmp_path: Path, size: int) -> None:
    """Two logs under one key: the same decisions with other salts, so that no record is the same."""
    witness = made_witness(tmp_path)
    witness.cosign(grown(tmp_path / "shown", 6), NOW_US)
    forked = grown(tmp_path / "hidden", size)
    with closing(DecisionReader(tmp_path / "hidden")) as reader:
        proof = reader.consistency_proof(6, size)
    said = "two different trees|two histories" if size == 6 else "rewritten or forked"
    with pytest.raises(ProofError, match=said) as caught:
        witness.cosign(Request(6, proof, forked.checkpoint), NOW_US)
    assert "evidence" in str(caught.value)
    # No receipt of the hidden history gets past somebody who asks for the witness.
    with closing(DecisionReader(tmp_path / "hidden")) as reader:
        receipt = make_receipt(reader, 0)
    verify_receipt(receipt, LOG_KEY.public)
    with pytest.raises(ProofError, match="0 of 1 witnesses"):
        verify_receipt(receipt, LOG_KEY.public, [witness_key("member.example/w").public])


def test_cosignatures_are_kept_for_what_the_log_holds(tmp_path: Path) -> None:
    first, second = grown(tmp_path / "log", 4), grown(tmp_path / "log", 8)
    line = made_witness(tmp_path).cosign(second, NOW_US)
    add_cosignatures(tmp_path / "log", second.checkpoint, [line], LOG_KEY.public)
    with pytest.raises(InputError, match="later checkpoint"):
        add_cosignatures(tmp_path / "log", first.checkpoint, [line], LOG_KEY.public)
    other = sign_checkpoint(LOG_KEY, 8, leaf_hash(b"other"))
    with pytest.raises(ProofError, match="not of what"):
        add_cosignatures(tmp_path / "log", other, [line], LOG_KEY.public)
    # A line under the log's own name would take the place of its signature, and no receipt would hold any more.
    own = LOG_KEY.public
    kept = (tmp_path / "log" / "cosigned").read_bytes()
    with pytest.raises(ProofError, match="does not fit"):
        add_cosignatures(tmp_path / "log", second.checkpoint, [SignatureLine(own.name, own.key_id, bytes(64))], own)
    assert (tmp_path / "log" / "cosigned").read_bytes() == kept


def test_a_log_that_was_taken_back_behind_what_witnesses_saw_does_not_hold(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    grown(folder, 4)
    shutil.copytree(folder, tmp_path / "early")
    later = grown(folder, 8)
    add_cosignatures(folder, later.checkpoint, [made_witness(tmp_path).cosign(later, NOW_US)], LOG_KEY.public)
    shutil.copy(folder / "cosigned", tmp_path / "early")
    shutil.copytree(tmp_path / "early", tmp_path / "other")
    with closing(DecisionLog.open(tmp_path / "other")) as log:
        log.append([decided(n) for n in range(20, 26)])
        log.sign(LOG_KEY, NOW_US)
    for name, said in (("early", "8 records were cosigned, and 4 are there"), ("other", "those that were cosigned")):
        with closing(DecisionReader(tmp_path / name)) as reader, pytest.raises(ProofError, match=said):
            verify_log(reader, key=LOG_KEY.public)
    with closing(DecisionReader(folder)) as reader:
        assert verify_log(reader, key=LOG_KEY.public).records == 8
