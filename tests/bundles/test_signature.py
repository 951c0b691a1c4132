from pathlib import Path

import pytest

from plateid.bundles.signature import check_signature, sign
from plateid.errors import BundleError
from tests.support.packed import openssl, write_keys

DATA = b"what was signed" * 1000


@pytest.fixture
def key(tmp_path) -> Path:
    return write_keys(tmp_path, "ours")


def test_openssl_verifies_our_signature(tmp_path, key):
    (tmp_path / "data").write_bytes(DATA)
    (tmp_path / "data.sig").write_bytes(sign(DATA, key))
    public = ("-pubin", "-inkey", tmp_path / "trusted/ours.pem")
    files = ("-in", tmp_path / "data", "-sigfile", tmp_path / "data.sig")
    openssl("pkeyutl", "-verify", *public, "-rawin", *files)


def test_signature_of_openssl_is_accepted_and_its_key_returned(tmp_path, key):
    write_keys(tmp_path, "another")
    (tmp_path / "data").write_bytes(DATA)
    signature = tmp_path / "data.sig"
    openssl(
        *("pkeyutl", "-sign", "-inkey", key, "-rawin"),
        *("-in", tmp_path / "data", "-out", signature),
    )
    signer = check_signature("data", DATA, signature.read_bytes(), tmp_path / "trusted")
    assert signer.name == "ours.pem"


@pytest.mark.parametrize("changed", [DATA[:-1], DATA + b"x", b"y" + DATA[1:], b""])
def test_altered_data_is_refused(tmp_path, key, changed):
    with pytest.raises(BundleError, match=r"^bundle.tar: is not signed by a key of .*trusted"):
        check_signature("bundle.tar", changed, sign(DATA, key), tmp_path / "trusted")


@pytest.mark.usefixtures("key")
def test_untrusted_signature_is_refused(tmp_path):
    stranger = write_keys(tmp_path, "stranger")
    (tmp_path / "trusted/stranger.pem").unlink()
    with pytest.raises(BundleError, match=r"is not signed"):
        check_signature("bundle.tar", DATA, sign(DATA, stranger), tmp_path / "trusted")


@pytest.mark.parametrize("signature", [b"", b"-----BEGIN", bytes(63), bytes(65)])
@pytest.mark.usefixtures("key")
def test_invalid_signature_is_refused(tmp_path, signature):
    with pytest.raises(BundleError, match=rf"bundle.tar.sig: .* {len(signature)} bytes, not 64"):
        check_signature("bundle.tar", DATA, signature, tmp_path / "trusted")


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_missing_trusted_keys_are_an_error(tmp_path, key, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match=f"{folder}: holds no trusted key"):
        check_signature("bundle.tar", DATA, sign(DATA, key), tmp_path / folder)


@pytest.mark.parametrize("algorithm", ["ed448", "x25519"])
def test_keys_of_other_algorithms_are_refused(tmp_path, key, algorithm):
    other = write_keys(tmp_path, "an-other", algorithm)  # sorts before ours
    with pytest.raises(BundleError, match=r"an-other.key: not an Ed25519 key"):
        sign(DATA, other)
    with pytest.raises(BundleError, match=r"an-other.pem: not an Ed25519 key"):
        check_signature("bundle.tar", DATA, sign(DATA, key), tmp_path / "trusted")


def test_files_without_a_key_are_refused(tmp_path, key):
    signature = sign(DATA, key)
    (tmp_path / "trusted/a.pem").write_bytes(key.read_bytes())
    with pytest.raises(BundleError, match=r"a.pem: no public key"):
        check_signature("bundle.tar", DATA, signature, tmp_path / "trusted")
    openssl("pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", tmp_path / "locked")
    for file in ("trusted/ours.pem", "locked"):
        with pytest.raises(BundleError, match=f"{file}: no private key in PEM form without a pass"):
            sign(DATA, tmp_path / file)
    with pytest.raises(BundleError, match=r"nowhere.key: No such file"):
        sign(DATA, tmp_path / "nowhere.key")
