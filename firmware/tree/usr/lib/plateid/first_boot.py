"""Installs the files that you copied into the folder plateid/ of the boot partition.

    plateid.toml      the configuration; without `device`, the device has its host name
    *.csv *.crt *.pem *.secret, formats.toml: files that plateid.toml names
    model-key.pem     public key of model bundles that may be installed
    mqtt-password     password for the broker (mqtt.password_file), mqtt-key: key of a certificate
    web-password      password of the web UI
    timezone          time zone of lists and web UI, for example Europe/Bucharest; default: UTC
    authorized_keys   keys that may log in by SSH as root
    mqtt-users        lines of name:password: opens port 8883 of the device's broker, with TLS
    mqtt-server.crt, mqtt-server.key: its certificate; default: a self-signed one

An installed file is removed from the boot partition. A wrong file stays there, and the device
keeps its previous settings. The reason is in ERROR.txt next to the file, on the console and in the
DNS-SD record.
"""

import os
import socket
import sys
from pathlib import Path

from appliance import Appliance
from boot_files import companions, installer_of

from plateid.errors import PlateidError, reason_of

ERRORS = "ERROR.txt"
LAST = ("web-password", "plateid.toml")
"""Installed after all other files, in this order: their checks need the others."""
MAX_TXT = 200
"""Maximum length of the problem in the DNS-SD record; a TXT string has up to 255 bytes."""
SERVICE = """[Service]
Name=%H
Type=_http._tcp
Port=8480
TxtText=problem={problem}
"""


def main(device: Appliance) -> None:
    """Installs the files of the inbox and reports those that are wrong."""
    names = {file.name for file in device.inbox.iterdir() if not file.name.startswith(".")}
    had_errors = ERRORS in names
    names.discard(ERRORS)
    if "plateid.toml" in names:  # it installs them itself
        names -= {file.name for file in companions(device)}
    order = sorted(names, key=lambda name: (name in LAST, name == LAST[-1], name))
    problems = [problem for name in order if (problem := install(device, name))]
    if problems:
        report(device, problems)
    try:
        if problems:
            text = "".join(f"{problem}\r\n" for problem in problems)
            (device.inbox / ERRORS).write_text(text)
        elif had_errors:
            (device.inbox / ERRORS).unlink()
    except OSError as error:  # the boot partition is full or read-only
        device.log(f"ERROR: {ERRORS}: {error.strerror}")


def install(device: Appliance, name: str) -> str:
    """Installs a file and removes it from the inbox; returns what is wrong, or nothing."""
    file = device.inbox / name
    try:
        installer_of(name)(device, file)
        os.sync()  # flushes what other programs wrote before the original is deleted
        file.unlink()
    except (PlateidError, OSError, ValueError) as error:
        return f"{name}: {error if isinstance(error, OSError) else reason_of(error)}"
    device.log(f"{name} installed")
    return ""


def report(device: Appliance, problems: list[str]) -> None:
    """Shows the problems on the console, and the first one in the DNS-SD record."""
    for problem in problems:
        device.log(f"ERROR: {problem}")
    short = problems[0].replace("%", "%%").replace('"', "'")[:MAX_TXT]
    service = SERVICE.format(problem=f'"{short}"')
    folder = device.root / "run/systemd/dnssd"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plateid.dnssd").write_text(service)


if __name__ == "__main__":
    inbox, root = sys.argv[1:] or ("/efi/plateid", "/")
    main(Appliance(Path(inbox), Path(root), socket.gethostname()))
