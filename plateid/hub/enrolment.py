"""Enrolment of devices: one-time codes, client certificates, tokens, and their revocation.

A device makes its key itself, and sends a signing request with its code. The hub's CA signs it for
the name that the code was made for; mosquitto and NATS check the certificates and the CRL.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import psycopg
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from plateid.errors import StoreError, errors_as, os_errors_as
from plateid.files import give_to_owner_of_folder, replace_text
from plateid.hub.broker_rules import HUB

CA_USE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
"""What the CA's key may sign; Python 3.13 refuses a CA that does not say it."""
CODE_LIFE = "1 hour"
"""Time in which a code must be used."""
CERTIFICATE_DAYS, CA_DAYS = 825, 7300
"""Lifetimes of a device's certificate, the longest that browsers accept, and of the CA."""
LABEL = r"(?!-)[a-zA-Z0-9-]{1,63}(?<!-)"
HOST = re.compile(rf"(?=.{{1,253}}\Z)({LABEL}\.)*(?![0-9]+\Z){LABEL}")
"""A label of a host name, and a name by RFC 1123: its last label is no number."""
NOTE_OWN = """
    WITH old AS (UPDATE certificate SET revoked_at = now()
        WHERE device = %(name)s AND serial <> %(serial)s AND revoked_at IS NULL)
    INSERT INTO certificate (serial, device) VALUES (%(serial)s, %(name)s) ON CONFLICT DO NOTHING"""
REVOKED = "SELECT serial, revoked_at FROM certificate WHERE revoked_at IS NOT NULL"
Key = ec.EllipticCurvePrivateKey


class EnrolmentError(Exception):
    """A code or a signing request is not valid."""


@dataclass(frozen=True)
class Authority:
    """The hub's CA, in files of its folder; its key also signs desired states."""

    folder: Path
    key: Key
    certificate: x509.Certificate

    @classmethod
    def opened(cls, folder: Path) -> "Authority":
        """Reads the keys, or makes them at the first start; raises StoreError."""
        key_file, file = folder / "ca.key", folder / "ca.pem"
        with os_errors_as(StoreError, folder), errors_as(StoreError, folder, ValueError):
            _make_folder(folder)
            if not file.exists():
                _make_keys(key_file, file)
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
        assert isinstance(key, Key)
        return cls(folder, key, certificate)

    def signature(self, text: str) -> str:
        """Returns the signature of a text (ECDSA, SHA-256; Base64)."""
        return base64.b64encode(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))).decode()

    def signed(self, request_pem: str, device: str) -> x509.Certificate:
        """Returns the client certificate of a device; raises EnrolmentError."""
        try:
            request = x509.load_pem_x509_csr(request_pem.encode())
            is_valid = request.is_signature_valid
            key = request.public_key()
        except (ValueError, UnsupportedAlgorithm) as error:
            raise EnrolmentError("csr: is no signing request in PEM form") from error
        if not is_valid:
            raise EnrolmentError("csr: its signature is not valid")
        return self._issue(device, key)

    def key_pair(self, name: str, hosts: Sequence[str] = ()) -> dict[str, str]:
        """Returns PEM files: a new key and its certificate, for a server if it has hosts."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._issue(f"plateid {name}" if hosts else name, key.public_key(), hosts)
        return {
            "ca.crt": _pem(self.certificate),
            f"{name}.crt": _pem(made),
            f"{name}.key": _key_pem(key),
        }

    def _issue(self, name: str, key: object, hosts: Sequence[str] = ()) -> x509.Certificate:
        """Returns the certificate of a client, or of the server with some hosts."""
        names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        uses = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        made = _certificate(names, self.certificate.subject, key, CERTIFICATE_DAYS)
        made = made.add_extension(x509.ExtendedKeyUsage([uses]), critical=False)
        made = made.add_extension(issuer, critical=False)
        if hosts:
            subject = x509.SubjectAlternativeName(map(host_name, hosts))
            made = made.add_extension(subject, critical=False)
        return made.sign(self.key, hashes.SHA256())


def make_code(db: psycopg.Connection, device: str) -> str:
    """Returns a one-time code that enrols a device of this name; ValueError: it may have none."""
    if device == HUB:
        raise ValueError(f"{device} is not the name of a device")
    code = secrets.token_urlsafe(16)
    statement = "INSERT INTO enrolment VALUES (%s, %s, now() + %s::interval)"
    db.execute(statement, (digest_of(code), device, CODE_LIFE))
    return code


def enrol(db: psycopg.Connection, authority: Authority, code: str, csr: str) -> dict[str, str]:
    """Enrols the device of a code, which is used up; returns what it needs. EnrolmentError.

    Certificates that the device had before are revoked.
    """
    with db.transaction():
        (device,) = db.execute("SELECT use_code(%s)", (digest_of(code),)).fetchone() or (None,)
        if device is None:
            raise EnrolmentError("code: is wrong, used or expired")
        certificate, token = authority.signed(csr, device), secrets.token_urlsafe(32)
        values = device, f"{certificate.serial_number:x}", digest_of(token)
        db.execute("SELECT enrol_device(%s, %s, %s)", values)
    write_crl(db, authority)
    return {
        "device": device,
        "token": token,
        "certificate": _pem(certificate),
        "ca": _pem(authority.certificate),
    }


def revoke(db: psycopg.Connection, authority: Authority, device: str) -> None:
    """Makes the token and all certificates of a device invalid."""
    db.execute("SELECT revoke_device(%s)", (device,))
    write_crl(db, authority)


def note_own_certificate(db: psycopg.Connection, file: Path) -> None:
    """Records the certificate that the hub uses, and revokes those that it used before."""
    with suppress(OSError, ValueError):  # the connection to the broker reports what is wrong
        serial = x509.load_pem_x509_certificate(file.read_bytes()).serial_number
        db.execute(NOTE_OWN, {"name": HUB, "serial": f"{serial:x}"})


def write_crl(db: psycopg.Connection, authority: Authority) -> None:
    """Writes the list of all revoked certificates; raises StoreError.

    It is valid as long as the CA: a broker with a list that has expired refuses every device.
    """
    made = x509.CertificateRevocationListBuilder(authority.certificate.subject)
    made = made.last_update(datetime.now(UTC))
    made = made.next_update(authority.certificate.not_valid_after_utc)
    with db.transaction(), os_errors_as(StoreError, authority.folder):
        db.execute("LOCK certificate IN EXCLUSIVE MODE")  # one writer of the file
        for serial, at in db.execute(REVOKED):
            each = x509.RevokedCertificateBuilder(int(serial, 16), at)
            made = made.add_revoked_certificate(each.build())
        text = _pem(made.sign(authority.key, hashes.SHA256()))
        replace_text(authority.folder / "crl.pem", text, first=give_to_owner_of_folder)


def digest_of(secret: str) -> str:
    """Returns the SHA-256 of a code or token, hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def host_name(host: str) -> x509.GeneralName:
    """Returns an IP address, or a host name by RFC 1123, for a certificate; raises ValueError."""
    with suppress(ValueError):
        return x509.IPAddress(ip_address(host))
    if not HOST.fullmatch(host):
        raise ValueError(f"no name or address of a host: {host}")
    return x509.DNSName(host)


def _make_folder(folder: Path) -> None:
    """Creates a folder, and those above it, for the owner of the first one that exists."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        give_to_owner_of_folder(folder)


def _make_keys(key_file: Path, file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plateid hub")])
    made = _certificate(names, names, key.public_key(), CA_DAYS)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = made.add_extension(identifier, critical=False)
    made = made.add_extension(CA_USE, critical=True)
    replace_text(key_file, _key_pem(key), mode=0o600, first=give_to_owner_of_folder)
    own = _pem(made.sign(key, hashes.SHA256()))
    replace_text(file, own, first=give_to_owner_of_folder)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: object, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # the clock of a device may be behind
        .not_valid_after(now + timedelta(days=days))
    )


def _key_pem(key: Key) -> str:
    private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(serialization.Encoding.PEM, *private).decode()


def _pem(item: x509.Certificate | x509.CertificateRevocationList) -> str:
    return item.public_bytes(serialization.Encoding.PEM).decode()
