"""Certificates, made by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

PAST = ("-not_before", "20200101000000Z", "-not_after", "20200201000000Z")


@dataclass(frozen=True)
class Certificate:
    file: Path
    key: Path


class Authority:
    """A certificate authority; only clients with its `certificate` trust it."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self.certificate = self._make(name)

    def issue(self, host: str, *options: str) -> Certificate:
        """Returns a certificate of a host name or IP address."""
        kind = "IP" if host[0].isdigit() else "DNS"
        ours = ("-CA", str(self.certificate.file), "-CAkey", str(self.certificate.key))
        extension = ("-addext", f"subjectAltName={kind}:{host}")
        return self._make(host, *ours, *extension, *options)

    def _make(self, name: str, *options: str) -> Certificate:
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]
        files = ("-out", str(made.file), "-keyout", str(made.key), "-subj", f"/CN={name}")
        encrypted = "-passout" in options
        command += [*files, *([] if encrypted else ["-noenc"]), *options]
        subprocess.run(command, check=True, capture_output=True)
        return made
