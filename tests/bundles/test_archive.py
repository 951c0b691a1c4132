"""Valid and invalid archives; only the owner of a trusted key could make these."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.bundles.archive import pack, unpack
from plateid.errors import BundleError


def archive(**members: bytes | tarfile.TarInfo) -> bytes:
    """Returns a tar archive of these members, by name."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:") as made:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                made.addfile(content)
                continue
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return data.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.fixture
def empty(tmp_path) -> Path:
    folder = tmp_path / "deep/down/empty"
    folder.mkdir(parents=True)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_unpacked_bundle_equals_the_packed_one(bundle, empty):
    (bundle / "MODEL_CARD.md").write_text("# tiny\n")
    (bundle / "notes.txt").write_text("not part of it")
    unpack("b.tar", pack(bundle), empty)
    (bundle / "notes.txt").unlink()
    assert files(empty) == files(bundle)


def test_same_bundle_gives_the_same_bytes(bundle):
    first = pack(bundle)
    (bundle / "detector.onnx").touch(0o600)
    assert pack(bundle) == first


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("../escaped.onnx", b"x"),
        ("/escaped.onnx", b"x"),
        ("golden/../../escaped.onnx", b"x"),
        ("golden/deeper/escaped.jpg", b"x"),
        ("bundle.toml\n", b"x"),
        (".onnx", b"x"),
        ("plateid.py", b"x"),
        ("link.onnx", special("link.onnx", tarfile.SYMTYPE, "/etc/shadow")),
        ("golden", special("golden", tarfile.SYMTYPE, "/etc")),
        ("hard.onnx", special("hard.onnx", tarfile.LNKTYPE, "/etc/shadow")),
        ("pipe.onnx", special("pipe.onnx", tarfile.FIFOTYPE)),
        ("disk.onnx", special("disk.onnx", tarfile.BLKTYPE)),
        ("golden", special("golden", tarfile.DIRTYPE)),
    ],
)
def test_archive_with_other_members_is_refused(empty, name, member):
    with pytest.raises(BundleError, match=r"^evil.tar: holds "):
        unpack("evil.tar", archive(**{name: member}), empty)
    assert files(empty.parents[1]) == {}


def test_member_with_a_wrong_length_is_refused(empty):
    sparse = special("big.onnx", tarfile.GNUTYPE_SPARSE)
    sparse.size = 512
    header = bytearray(sparse.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"00000000000\0" + b"00000001000\0"
    header[483:495] = b"77777777777\0"  # eight gigabytes
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(BundleError, match=r"big.onnx, which is not a regular file"):
        unpack("b.tar", bytes(header) + bytes(512 * 3), empty)
    cut = special("big.onnx", tarfile.REGTYPE)
    cut.size = 8 << 30
    with pytest.raises(BundleError, match=r"is not a tar archive"):
        unpack("b.tar", cut.tobuf() + bytes(512), empty)


def test_compressed_archive_is_refused(bundle, empty):
    with pytest.raises(BundleError, match=r"b.tar: is not a tar archive"):
        unpack("b.tar", gzip.compress(pack(bundle)), empty)


def test_duplicate_member_is_refused(empty):
    once = archive(**{"a.onnx": b"first"})
    twice = once[: 2 * 512] + archive(**{"a.onnx": b"second"})
    with pytest.raises(BundleError, match=r"holds a.onnx twice"):
        unpack("b.tar", twice, empty)


@pytest.mark.parametrize("missing", ["bundle.toml", "detector.onnx", "reader.onnx"])
def test_missing_member_is_named(bundle, empty, missing):
    content = files(bundle)
    del content[missing]
    with pytest.raises(BundleError, match=missing.replace(".", r"\.")):
        unpack("b.tar", archive(**content), empty)


@given(cut=st.floats(0, 0.999))
def test_truncated_archive_is_refused(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("cut")
    content = {"reader.onnx": b"r" * 700, "detector.onnx": b"d" * 700, "bundle.toml": b"t" * 700}
    data = archive(**content).rstrip(b"\0")
    with pytest.raises(BundleError):
        unpack("b.tar", data[: int(cut * len(data))], folder)


@given(noise=st.binary(max_size=2000), at=st.integers(0, 2000))
def test_random_bytes_are_refused(tmp_path_factory, noise, at):
    folder = tmp_path_factory.mktemp("noise")
    data = archive(**{"reader.onnx": b"r" * 700})
    with pytest.raises(BundleError):
        unpack("b.tar", data[:at] + noise + data[at + len(noise) :], folder)
    assert not list(folder.parent.glob("*.onnx"))
