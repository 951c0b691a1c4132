"""Starts plateid as an add-on of Home Assistant, with the options and the broker that it has there.

The options become environment variables, see docs/install.md. plateid runs without privileges.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INGRESS = "172.30.32.2"
"""Address from which the Supervisor forwards requests of its users."""
SUPERVISOR = "http://supervisor"
PASSWORD = "mqtt-password"  # noqa: S105 - the name of a file
USER = 8480
"""User of the image."""
TOKENS = ("SUPERVISOR_TOKEN", "HASSIO_TOKEN")
"""Variables of the token for the Supervisor, which plateid does not get."""
TIMEOUT_S = 20.0


def mqtt_service(address: str, token: str) -> Mapping[str, Any]:
    """Returns the broker that the Supervisor offers; without one, logs and returns a `problem`."""
    request = urllib.request.Request(  # noqa: S310 - the address is above
        f"{address}/services/mqtt", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
            service: Mapping[str, Any] = json.load(answer)["data"]
            return service
    except urllib.error.HTTPError as error:
        reason = f"{error.code} {error.read().decode(errors='replace')}"
    except (OSError, ValueError, KeyError) as error:
        reason = str(error)
    problem = f"no MQTT broker from the Supervisor: {reason}"
    print(problem, file=sys.stderr)  # noqa: T201 - the log
    return {"problem": problem}


def variables(options: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, str]:
    """Returns the environment variables of plateid for the options and the broker."""
    mqtt = {key: options.get(f"mqtt_{key}", "") for key in ("host", "port", "username")}
    if not mqtt["host"]:
        mqtt = {key: service.get(key) or "" for key in mqtt} | {"tls": service.get("ssl", False)}
    if mqtt["username"]:
        mqtt["password_file"] = PASSWORD
    values = {f"MQTT_{key.upper()}": value for key, value in mqtt.items() if value}
    values |= {f"CAMERA_{each['name'].upper()}": each["url"] for each in options.get("cameras", ())}
    values["DEVICE"] = options.get("device", "plateid")
    values["WEB_INGRESS"] = INGRESS
    if problem := service.get("problem"):
        values["WEB_NOTICE"] = problem
    if regions := options.get("regions"):
        values["EVENTS_REGIONS"] = regions
    return {f"PLATEID_{k}": json.dumps(v, ensure_ascii=False) for k, v in values.items()}


def password(options: Mapping[str, Any], service: Mapping[str, Any]) -> str:
    """Returns the password for the broker that `variables` chooses."""
    return str(
        options.get("mqtt_password", "")
        if options.get("mqtt_host")
        else service.get("password", "")
    )


def give(folder: Path) -> None:
    """Gives a folder and all in it to the user; what symlinks point to stays as it is."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)


def main() -> None:
    """Becomes plateid."""
    options = json.loads(Path("/data/options.json").read_text("utf-8"))
    service = (
        {} if options.get("mqtt_host") else mqtt_service(SUPERVISOR, os.environ["SUPERVISOR_TOKEN"])
    )
    secrets = Path("/run/secrets")
    secrets.mkdir(parents=True, exist_ok=True)
    (secrets / PASSWORD).write_text(password(options, service), "utf-8")
    (secrets / PASSWORD).chmod(0o600)
    for folder in (secrets, Path("/config"), Path("/data")):
        give(folder)
    os.environ.update(variables(options, service))
    for name in TOKENS:
        os.environ.pop(name, None)
    os.setgroups(sorted({camera.stat().st_gid for camera in Path("/dev").glob("video*")}))
    os.setgid(USER)
    os.setuid(USER)
    os.execvp("entrypoint", ["entrypoint", "run"])  # noqa: S606, S607 - of the image


if __name__ == "__main__":
    main()
