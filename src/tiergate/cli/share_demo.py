"""`tiergate share demo`: five labs, a key server and a hub as processes on this machine, and one campaign between them.

The world is simulated. Every lab nominates by its own log, and all that leaves it is what leaves a real one.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

from tiergate.cli.demo.children import free_port, server
from tiergate.cli.terminal import note, say

LABS: Final = 5
THRESHOLD: Final = 3
OF_EACH_LAB: Final = 4
"""Accounts that the campaign has at each lab."""


def run(seed: int, people: int) -> None:
    """Make the world, run the parties, and show what each lab learns."""
    from tiergate.parties.tokens import new_token
    from tiergate.sharing.tokens.blinding import suite
    from tiergate.sharing.tokens.group import KIND

    suite()
    tokens = [new_token(KIND) for _ in range(LABS)]
    with tempfile.TemporaryDirectory(prefix="tiergate-share-") as name:
        folder = Path(name)
        text = f"threshold = {THRESHOLD}\n" + "".join(_member(number, one) for number, one in enumerate(tokens, 1))
        ports = {party: free_port() for party in ("key-server", "hub")}
        for party in ports:
            (folder / party).mkdir()
            (folder / party / "labs.toml").write_text(text)
        note("starting a key server and a hub")
        with _party(folder, "key-server", ports["key-server"]), _party(folder, "hub", ports["hub"]):
            _exchange(seed, people, tokens, ports)


def _member(number: int, token: str) -> str:
    digest = hashlib.sha256(token.encode()).hexdigest()
    return f'[[labs]]\nname = "lab-{number}"\nnumber = {number}\ntoken_sha256 = "{digest}"\n'


def _party(folder: Path, party: str, port: int) -> AbstractContextManager[None]:
    arguments = ["-m", "tiergate", "share", party, "--data", str(folder / party), "--port", str(port)]
    return server(party, arguments, port=port, log=folder / f"{party}.log", settings=_path())


def _path() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(sys.path)}


def _exchange(seed: int, people: int, tokens: list[str], ports: dict[str, int]) -> None:
    from tiergate.ledger.sketches import Sketcher
    from tiergate.sharing.tokens import peer
    from tiergate.sharing.tokens.lab import Lab
    from tiergate.sharing.tokens.nominating import nominate
    from tiergate.simulation.labs import deal
    from tiergate.simulation.prompts import GrammarPrompts
    from tiergate.simulation.spec import CampaignSpec, WorldSpec
    from tiergate.simulation.world import simulate

    note("simulating five labs, and a campaign that has four accounts at each")
    thin = CampaignSpec(accounts=LABS * OF_EACH_LAB, address_sharing=0.6, payment_sharing=0.6)
    shares = deal(simulate(WorldSpec(people=people, campaigns=(thin,)), seed, GrammarPrompts()), LABS, seed)
    sketcher = Sketcher(b"the group's key, agreed upon once"[:32])
    with ExitStack() as stack:
        labs, sent = [], []
        for number, (share, token) in enumerate(zip(shares, tokens, strict=True), 1):
            keys = stack.enter_context(peer.KeyServer(f"http://127.0.0.1:{ports['key-server']}", token))
            hub = stack.enter_context(peer.Hub(f"http://127.0.0.1:{ports['hub']}", token))
            lab = Lab(number, THRESHOLD, [keys], hub)
            chosen = nominate(share.exchanges.to_batches(), share.accounts, sketcher)
            prepared = lab.prepare(chosen, lab.epoch())
            lab.hand_in(prepared)
            labs.append(lab)
            sent.append(prepared.sent)
            say(
                f"lab-{number}: {share.accounts.num_rows:>4} accounts, {len(chosen):>3} nominated, "
                f"{len(prepared.sent.holders):>5} items handed in, {len(prepared.rows):>7,} bytes, no value among them"
            )
        say()
        for lab, one, share in zip(labs, sent, shares, strict=True):
            rows = zip(share.truth["account_id"].to_pylist(), share.truth["campaign_id"].to_pylist(), strict=True)
            campaign = {account for account, of in rows if of is not None}
            told, found = lab.read(one)
            say(f"lab-{lab.number}: {len(told.items)} of {len(one.holders)} items are held by {THRESHOLD} labs or more")
            for cluster in found:
                say(f"  joint cluster: {cluster.customers_of_all} customers of {cluster.labs} labs")
                say(f"  agree by {', '.join(cluster.causes)}; ours: {', '.join(cluster.customers)}")
            named = {customer for cluster in found for customer in cluster.customers}
            right = len(named & campaign)
            say(f"  truth of the simulation: {right} of {len(campaign)} found, {len(named - campaign)} named wrongly")
    say()
    say("A joint cluster is a reason to look closer, `verify` at the most and after your own review; never to suspend.")
