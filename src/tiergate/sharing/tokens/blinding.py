"""Blinding (RFC 9497, VOPRF over ristretto255): a key server computes a keyed function of items that it does not see.

Elements go over the wire side by side, 32 bytes each. An answer has one element for each, and a proof (64 bytes, DLEQ)
that all were made with the key of the public key: a server that used another key for one lab would be found out.
Needs the extra `sharing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tiergate.errors import InputError, ProofError, SettingsError

ELEMENT_BYTES: Final = 32
PROOF_BYTES: Final = 64
MOST_ELEMENTS: Final = 8_192
"""Elements of one request."""


def suite() -> Any:
    """The library's ristretto255. Raises `SettingsError` where it is not installed."""
    try:
        from voprf import ristretto
    except ImportError:
        raise SettingsError("joint detection needs `voprf`: install tiergate[sharing]") from None
    return ristretto


class Blinded:
    """Items that were blinded together, until they are answered. Blinds are random and used once."""

    def __init__(self, items: Sequence[bytes]) -> None:
        blind = suite().Client.blind
        pairs = [blind(item) for item in items]
        self._clients = [client for client, _ in pairs]
        self.elements = b"".join(element.serialize() for _, element in pairs)

    def outputs(self, answer: bytes, public_key: bytes) -> list[bytes]:
        """The function's value for each item, 64 bytes. Raises `ProofError` where the proof does not hold."""
        library = suite()
        try:
            if len(answer) != len(self.elements) + PROOF_BYTES:
                raise ValueError("another number of elements")
            made: list[bytes] = library.Client.finalize_batch(
                self._clients,
                library.VerifiableBatchOutput.deserialize(answer),
                library.PublicKey.deserialize(public_key),
            )
        except BaseException as error:
            # The library panics where a proof of several elements does not hold, past `Exception` and unnamed.
            if not isinstance(error, ValueError) and type(error).__name__ != "PanicException":
                raise
            raise ProofError("the key server's answer does not hold under its public key: do not use it") from None
        return made


class Evaluator:
    """A key of a key server. ``secret``: 32 random bytes."""

    def __init__(self, secret: bytes) -> None:
        self._library = suite()
        self._evaluator = self._library.Evaluator(secret)
        self.public_key: bytes = self._evaluator.public_key.serialize()

    def answer(self, elements: bytes) -> bytes:
        """Elements evaluated, with the proof. Raises `InputError` for what are no elements, none or too many."""
        count, rest = divmod(len(elements), ELEMENT_BYTES)
        if rest or not 0 < count <= MOST_ELEMENTS:
            raise InputError(f"send 1 to {MOST_ELEMENTS} elements of {ELEMENT_BYTES} bytes each")
        read = self._library.BlindedInput.deserialize
        try:
            given = [read(elements[at : at + ELEMENT_BYTES]) for at in range(0, len(elements), ELEMENT_BYTES)]
        except ValueError:
            raise InputError(
                "an element is no element of ristretto255, or its identity: blind the items anew"
            ) from None
        answered: bytes = self._evaluator.evaluate_batch(given).serialize()
        return answered
