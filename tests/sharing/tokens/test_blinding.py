"""The blinding is that of RFC 9497, and what a key server answers is not taken on trust."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voprf import ristretto

from tiergate.errors import InputError, ProofError
from tiergate.sharing.tokens.blinding import ELEMENT_BYTES, MOST_ELEMENTS, PROOF_BYTES, Blinded, Evaluator

SEED, INFO = bytes([0xA3]) * 32, b"test key"
PUBLIC_KEY = "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e"
INPUTS = (bytes(1), b"\x5a" * 17)
OUTPUTS = (
    "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7da4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c",
    "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6",
)
BLINDED = (
    "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
    "90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654",
)
EVALUATED = (
    "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e",
    "cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a",
)
"""RFC 9497, A.1.2.3: ristretto255-SHA512, VOPRF, a batch of two."""


@pytest.fixture
def published() -> Evaluator:
    """An evaluator with the key of the published vectors."""
    evaluator = Evaluator(bytes(32))
    evaluator._evaluator = ristretto.Evaluator.from_seed(SEED, INFO)
    evaluator.public_key = evaluator._evaluator.public_key.serialize()
    return evaluator


def test_published_vectors(published: Evaluator) -> None:
    assert published.public_key.hex() == PUBLIC_KEY
    answer = published.answer(bytes.fromhex("".join(BLINDED)))
    assert "".join(EVALUATED) in answer.hex()
    # Blinds are random here, and go away again.
    blinded = Blinded(INPUTS)
    assert blinded.elements.hex() != "".join(BLINDED)
    outputs = blinded.outputs(published.answer(blinded.elements), published.public_key)
    assert [one.hex() for one in outputs] == list(OUTPUTS)


def test_what_the_key_server_sees_differs_every_time() -> None:
    seen = {Blinded([b"card"]).elements for _ in range(50)}
    assert len(seen) == 50


@settings(max_examples=40)
@given(st.integers(0, 2 * ELEMENT_BYTES + PROOF_BYTES - 1), st.integers(0, 7))
def test_a_changed_answer_is_not_used(byte: int, bit: int) -> None:
    evaluator = Evaluator(b"k" * 32)
    blinded = Blinded([b"one", b"two"])
    answer = bytearray(evaluator.answer(blinded.elements))
    answer[byte] ^= 1 << bit
    with pytest.raises(ProofError, match="does not hold"):
        blinded.outputs(bytes(answer), evaluator.public_key)


@pytest.mark.parametrize("count", [1, 2])
def test_another_key_for_one_lab_is_found_out(count: int) -> None:
    blinded = Blinded([b"%d" % n for n in range(count)])
    with pytest.raises(ProofError):
        blinded.outputs(Evaluator(b"a" * 32).answer(blinded.elements), Evaluator(b"b" * 32).public_key)


@pytest.mark.parametrize("change", [lambda a: a[:-1], lambda a: a[ELEMENT_BYTES:], lambda a: a + a, lambda _: b""])
def test_an_answer_of_another_length_is_not_used(change: object) -> None:
    evaluator, blinded = Evaluator(b"k" * 32), Blinded([b"one", b"two"])
    with pytest.raises(ProofError):
        blinded.outputs(change(evaluator.answer(blinded.elements)), evaluator.public_key)  # type: ignore[operator]


@settings(max_examples=60)
@given(st.binary(max_size=200))
def test_what_is_no_element_is_refused(sent: bytes) -> None:
    evaluator = Evaluator(b"k" * 32)
    try:
        answer = evaluator.answer(sent)
    except InputError:
        return
    assert len(answer) == len(sent) + PROOF_BYTES


@pytest.mark.parametrize("sent", [b"", bytes(ELEMENT_BYTES), bytes(ELEMENT_BYTES * (MOST_ELEMENTS + 1))])
def test_nothing_the_identity_and_too_much_are_refused(sent: bytes) -> None:
    with pytest.raises(InputError):
        Evaluator(b"k" * 32).answer(sent)
