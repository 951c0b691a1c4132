"""Certificates of devices: signed by a CA that TLS accepts, and revoked for good."""

import os
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from plateid.config.hub import DatabaseConfig, HubConfig, HubMqttConfig
from plateid.config.service import WebConfig
from plateid.hub.database import connect
from plateid.hub.enrolment import Authority, EnrolmentError, enrol, make_code, revoke
from tests.support import certificates
from tests.support.broker import free_port
from tests.support.fleets import served_hub


def request_of(key: ec.EllipticCurvePrivateKey) -> str:
    made = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def revoked(authority: Authority) -> set[int]:
    crl = x509.load_pem_x509_crl((authority.folder / "crl.pem").read_bytes())
    assert crl.next_update_utc == authority.certificate.not_valid_after_utc
    return {each.serial_number for each in crl}


def test_certificate_stays_revoked_after_the_device_is_enrolled_again(
    database: DatabaseConfig, tmp_path: Path
) -> None:
    authority = Authority.opened(tmp_path)
    csr = request_of(ec.generate_private_key(ec.SECP256R1()))
    serials = []
    with connect(database, purpose="test") as db:
        for _ in range(3):
            made = enrol(db, authority, make_code(db, "gate"), csr)
            certificate = x509.load_pem_x509_certificate(made["certificate"].encode())
            serials.append(certificate.serial_number)
        assert revoked(authority) == set(serials[:2])
        unused = make_code(db, "gate")
        revoke(db, authority, "gate")
        assert revoked(authority) == set(serials)
        with pytest.raises(EnrolmentError, match="wrong, used or expired"):
            enrol(db, authority, unused, csr)
        enrol(db, authority, make_code(db, "gate"), csr)
        assert revoked(authority) == set(serials)


def test_device_cannot_have_the_name_of_the_hub(database: DatabaseConfig) -> None:
    with connect(database, purpose="test") as db, pytest.raises(ValueError, match="hub is not"):
        make_code(db, "hub")


def test_certificate_that_the_hub_used_before_is_revoked(
    database: DatabaseConfig, tmp_path: Path
) -> None:
    authority, file = Authority.opened(tmp_path / "hub"), tmp_path / "hub.crt"
    web = WebConfig(port=free_port())
    mqtt = HubMqttConfig(port=free_port(), tls=True, certificate_file=file)
    config = HubConfig(database=database, folder=authority.folder, mqtt=mqtt, web=web)
    serials = []
    for _ in range(2):
        text = authority.key_pair("hub")["hub.crt"]
        file.write_text(text)
        serials.append(x509.load_pem_x509_certificate(text.encode()).serial_number)
        for _ in range(2):
            with served_hub(config):
                assert revoked(authority) == set(serials[:-1])


def test_keys_belong_to_the_owner_of_the_first_folder_that_exists(tmp_path: Path) -> None:
    owner = 65534 if os.getuid() == 0 else os.getuid()
    os.chown(tmp_path, owner, -1)
    authority = Authority.opened(tmp_path / "new/hub")
    made = [authority.folder.parent, authority.folder, *authority.folder.iterdir()]
    assert [file.stat().st_uid for file in made] == [owner] * 4


def test_certificate_is_accepted_by_strict_tls(tmp_path: Path) -> None:
    """Python 3.13 is strict by default."""
    authority = Authority.opened(tmp_path / "hub")
    key = ec.generate_private_key(ec.SECP256R1())
    own = authority.signed(request_of(key), "gate")
    pem = serialization.Encoding.PEM
    private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "gate.pem").write_bytes(own.public_bytes(pem) + key.private_bytes(pem, *private))
    issued = certificates.Authority(tmp_path, "other").issue("127.0.0.1")
    broker = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.folder / "ca.pem")
    broker.verify_mode = ssl.CERT_REQUIRED
    broker.verify_flags |= ssl.VERIFY_X509_STRICT
    broker.load_cert_chain(issued.file, issued.key)
    device = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    device.check_hostname, device.verify_mode = False, ssl.CERT_NONE
    device.load_cert_chain(tmp_path / "gate.pem")
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = device.wrap_bio(one, other)
    server = broker.wrap_bio(other, one, server_side=True)
    for _ in range(4):
        for side in (client, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert server.getpeercert()["subject"] == ((("commonName", "gate"),),)
