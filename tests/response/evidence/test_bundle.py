"""A bundle runs again byte for byte, shows nobody else, and a file that is none is refused."""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.response.evidence.conftest import Deployment
from tests.response.test_watch import quietly
from tiergate.errors import InputError
from tiergate.response.bundle import verifying
from tiergate.response.bundle.layout import ABOUT, CASE_FILE, MOST_ABOUT, read_about
from tiergate.response.bundle.verifying import verify
from tiergate.response.bundle.writing import export
from tiergate.response.kept import kept_look
from tiergate.response.record import record_of

Files = dict[str, bytes]


def unpacked(bundle: Path) -> Files:
    with tarfile.open(bundle) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


def packed(out: Path, files: Files, change: Callable[[tarfile.TarInfo], None] = lambda _: None) -> Path:
    with tarfile.open(out, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            change(info)
            tar.addfile(info, io.BytesIO(data))
    return out


def resealed(files: Files, **about: object) -> Files:
    """As somebody would who changes a bundle and makes its sizes, rows and hashes right again."""
    told = msgspec.json.decode(files[ABOUT]) | about
    for name, data in files.items():
        if name != ABOUT:
            rows = pq.read_metadata(pa.BufferReader(data)).num_rows if name.endswith(".parquet") else None
            told["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "rows": rows}
    return files | {ABOUT: msgspec.json.encode(told)}


def table(data: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(data))


def written(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    return bytes(sink.getvalue())


def test_a_bundle_holds_and_shows_nobody_else(deployment: Deployment, bundle: Path) -> None:
    found = verify(bundle, quietly)
    assert found.wrong == []
    assert bundle.stat().st_mode & 0o077 == 0
    assert found.about.digest == deployment.file.found.digest
    assert found.about.exchanges == deployment.answered
    files = unpacked(bundle)
    shown: set[str] = set()
    for name, data in files.items():
        if name.endswith(".parquet"):
            for column in table(data).columns:
                flat = column.combine_chunks()
                flat = flat.flatten() if pa.types.is_list(flat.type) else flat
                if pa.types.is_string(flat.type):
                    shown |= set(flat.drop_null().to_pylist())
    accounts = set(deployment.world.accounts["account_id"].to_pylist())
    assert shown & accounts == deployment.members
    for source, names in (
        (
            deployment.world.exchanges,
            ("organization_id", "end_user_id", "client_address", "user_agent", "tls_fingerprint"),
        ),
        (
            deployment.world.accounts,
            (
                "organization_id",
                "email_domain",
                "email_hash",
                "phone_hash",
                "payment_hash",
                "signup_address",
                "payment_bin",
            ),
        ),
    ):
        for name in names:
            assert not shown & set(source[name].drop_null().to_pylist()), name
    assert all(table(files["accounts.parquet"])[name].null_count == len(accounts) for name in ("declared_country",))
    assert not {"system_text", "prompt_text"} & set(table(files["rows-000001.parquet"]).schema.names)
    assert (deployment.data / "key").read_bytes() not in b"".join(files.values())
    # Who has a verdict's id may read its notice.
    ids = [one.verdict_id for one in deployment_verdicts(deployment)]
    assert ids
    assert not any(one.encode() in files[CASE_FILE] for one in ids)


def deployment_verdicts(deployment: Deployment) -> list[object]:
    from tiergate.ledger.verdicts import VerdictStore

    return list(VerdictStore(deployment.engine).history(deployment.file.case_id))


def test_what_is_changed_is_found(bundle: Path, tmp_path: Path) -> None:
    files = unpacked(bundle)
    rows = "rows-000001.parquet"
    flipped = packed(tmp_path / "flipped.tar", files | {rows: files[rows][:-9] + b"?" + files[rows][-8:]})
    assert [one.split("`")[1] for one in verify(flipped, quietly).wrong] == [rows]
    # One exchange of a member fewer, with all hashes made right again: the look comes out otherwise.
    whole = table(files[rows])
    member = table(files["case/case_accounts.parquet"])["account_id"][0]
    last = pc.index(whole["account_id"], member).as_py()
    fewer = pa.concat_tables([whole.slice(0, last), whole.slice(last + 1)])
    lacking = resealed(files | {rows: written(fewer)}, exchanges=len(fewer))
    wrong = verify(packed(tmp_path / "lacking.tar", lacking), quietly).wrong
    assert any("`case_accounts.exchanges` differs in 1 of" in one for one in wrong), wrong
    # Another figure in the case's rows: not what the digest stands for.
    heads = table(files["case/cases.parquet"])
    at = heads.schema.get_field_index("confidence")
    surer = heads.set_column(at, heads.schema.field(at), pa.array([0.99999], pa.float64()))
    changed = resealed(files | {"case/cases.parquet": written(surer)})
    assert "are not those that its digest" in verify(packed(tmp_path / "surer.tar", changed), quietly).wrong[0]
    # And a digest of one's own is not of the answer that verdicts name.
    forged = resealed(files, digests=["0" * 64])
    assert "gives another" in verify(packed(tmp_path / "forged.tar", forged), quietly).wrong[0]


def test_evidence_that_is_gone_is_not_made_up(deployment: Deployment, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(deployment.data, copy)
    case = record_of(deployment.engine, deployment.file.case_id)
    look = kept_look(copy, deployment.file)
    (copy / "detection" / "state" / "state.json").unlink()
    for path in (copy / "detection" / "state").glob("rows-*"):
        path.unlink()
    with pytest.raises(InputError, match="is gone"):
        look.read()
    shutil.copytree(deployment.data / "detection" / "state", copy / "detection" / "state", dirs_exist_ok=True)
    (look.answer / "case_evidence.parquet").write_bytes((look.answer / "case_accounts.parquet").read_bytes())
    with pytest.raises(InputError, match="not what the case file names"):
        export(case, look.cases, look.answer, look.read(), tmp_path / "x.tar", now_us=0, progress=quietly)
    shutil.rmtree(look.answer)
    with pytest.raises(InputError, match="is gone"):
        kept_look(copy, deployment.file)
    assert list(tmp_path.glob("*.tar*")) == []


def renamed(name: str) -> Callable[[Files], Files]:
    return lambda files: files | {name: b"x"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (renamed("../../etc/passwd"), "does not belong"),
        (renamed("/etc/passwd"), "does not belong"),
        (renamed("case/../case/cases.parquet"), "does not belong"),
        (renamed("rows-000001.parquet.exe"), "does not belong"),
        (renamed("accounts.parquet\0"), "does not hold what|no evidence"),
        (lambda files: {name: data for name, data in files.items() if name != "looks.parquet"}, "does not hold what"),
        (lambda files: {name: data for name, data in files.items() if name != ABOUT}, "no usable"),
        (lambda files: files | {ABOUT: b"[]"}, "no evidence bundle"),
        (lambda files: files | {"README.txt": b"longer than it says"}, "says"),
        (lambda files: resealed(files, format=99), "format 99"),
    ],
)
def test_a_file_that_is_no_bundle_is_refused(
    bundle: Path, tmp_path: Path, change: Callable[[Files], Files], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        verify(packed(tmp_path / "bad.tar", change(unpacked(bundle))), quietly)


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, tarfile.AREGTYPE],
)
def test_members_that_are_no_plain_files_are_refused(bundle: Path, tmp_path: Path, kind: bytes) -> None:
    def changed(info: tarfile.TarInfo) -> None:
        if info.name == "looks.parquet":
            info.type, info.linkname = kind, "/etc/passwd"

    with pytest.raises(InputError, match=r"evidence bundle|cut short|does not hold"):
        verify(packed(tmp_path / "bad.tar", unpacked(bundle), changed), quietly)


def test_extended_headers_second_copies_and_false_sizes_are_refused(bundle: Path, tmp_path: Path) -> None:
    files = unpacked(bundle)
    with tarfile.open(tmp_path / "pax.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("rows-000001.parquet")
        info.pax_headers = {"path": "../rows-000001.parquet"}
        tar.addfile(info)
    twice = tmp_path / "twice.tar"
    packed(twice, files)
    with tarfile.open(twice, "a", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("README.txt"))
    raw = bundle.read_bytes()
    (tmp_path / "short.tar").write_bytes(raw[:-2000])
    header = tarfile.TarInfo("looks.parquet")
    header.size = 1 << 60
    (tmp_path / "huge.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + b"\0" * 2048)
    (tmp_path / "empty.tar").write_bytes(b"")
    for path in tmp_path.glob("*.tar"):
        with pytest.raises(InputError):
            read_about(path)
    with pytest.raises(InputError, match="cannot read"):
        read_about(tmp_path)


def test_tables_that_unfold_to_far_more_than_they_take_are_refused(bundle: Path, tmp_path: Path) -> None:
    files = unpacked(bundle)
    history = table(files["members.parquet"])

    def verdict(members: pa.Table) -> None:
        bomb = resealed(files | {"members.parquet": written(members)})
        verify(packed(tmp_path / "bomb.tar", bomb), quietly)

    many = pa.table([pa.repeat(pa.scalar("x"), 5_000_000)] * 2, schema=history.schema)
    with pytest.raises(InputError, match="unfold"):
        verdict(many)
    with pytest.raises(InputError, match=r"longer than|unfold"):
        verdict(pa.table([["x" * 5_000_000]] * 2, schema=history.schema))
    with pytest.raises(InputError, match="does not have the columns"):
        verdict(history.select(["account_id"]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_bundle_with_any_bytes_changed_is_refused_or_found_wrong(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    def looks_again(*_: object) -> None:
        raise InputError("every hash is right")

    raw = bytearray(bundle.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1) | st.integers(0, 2000) | st.integers(len(raw) - 4000, len(raw) - 1))
    raw[place : place + data.draw(st.integers(1, 40))] = data.draw(st.binary(max_size=40))
    path = tmp_path / "changed.tar"
    path.write_bytes(raw)
    with monkeypatch.context() as patched:
        patched.setattr(verifying, "_look_again", looks_again)
        with contextlib.suppress(InputError):  # what is left is no bundle, or nothing that counts was changed
            assert verify(path, quietly).wrong


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["looks", "members", "accounts", "case/cases"]), st.data())
def test_a_table_with_any_bytes_changed_and_hashes_made_right_is_refused_or_read(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: st.DataObject
) -> None:
    files = unpacked(bundle)
    about = msgspec.json.decode(files[ABOUT])
    raw = bytearray(files[f"{name}.parquet"])
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place : place + data.draw(st.integers(1, 8))] = data.draw(st.binary(min_size=1, max_size=8))
    told = about["files"][f"{name}.parquet"]
    told |= {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    changed = files | {f"{name}.parquet": bytes(raw), ABOUT: msgspec.json.encode(about)}

    def detects(*_: object, **__: object) -> None:
        raise ValueError("all tables could be read")

    with monkeypatch.context() as patched:
        patched.setattr(verifying, "run_detection", detects)
        with contextlib.suppress(InputError):
            assert verify(packed(tmp_path / "changed.tar", changed), quietly).wrong


def test_limits_are_above_what_an_export_writes(bundle: Path) -> None:
    about, places = read_about(bundle)
    assert places[ABOUT][1] < MOST_ABOUT
    assert about.others == about.accounts - len(table(unpacked(bundle)["case/case_accounts.parquet"]))
