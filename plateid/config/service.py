"""Sections of local services: `[metrics]`, `[web]`, `[gps]` and `[occupancy]`."""

import socket
from ipaddress import IPv4Address

from pydantic import Field, StrictBool, StrictInt, model_validator

from plateid.config.cameras import MAX_CAMERAS
from plateid.config.section import Address, ConfigPath, CredentialPath, Name, Port, Seconds, Section

LOOPBACK = IPv4Address("127.0.0.1")
"""Default address to listen on: only this device can connect."""


class MetricsConfig(Section):
    """Section `[metrics]`: metrics for Prometheus at http://host:port/metrics."""

    enabled: StrictBool = False
    """Serve metrics."""
    host: Address = LOOPBACK
    """Address to listen on. There is no password: use 0.0.0.0 only in a network that you trust."""
    port: Port = 9797
    """Port to listen on."""


class WebConfig(Section):
    """Section `[web]`: the web UI."""

    enabled: StrictBool = False
    """Serve the web UI."""
    host: Address = LOOPBACK
    """Address to listen on; one that other devices reach, such as 0.0.0.0, needs a password:
    `plateid web set-password`."""
    port: Port = 8480
    """Port to listen on."""
    certificate_file: CredentialPath | None = None
    """PEM file of a certificate; with it, the web UI uses HTTPS only."""
    key_file: CredentialPath | None = None
    """PEM file of its unencrypted key; default: in certificate_file."""
    proxy: Address | None = None
    """Address of a reverse proxy that sets X-Forwarded-For and X-Forwarded-Proto; needs a
    password."""
    ingress: Address | None = None
    """Address of Home Assistant's ingress proxy, whose users are admins without a password here."""
    users_file: ConfigPath | None = None
    """File of users, password hashes and tokens; default: beside the store."""
    notice: str = ""
    """Text at the top of each page, such as a problem that a container has found at its start."""
    fps: StrictInt = Field(default=5, ge=1, le=25)
    """Maximum frame rate of the live view, frames a second."""
    width: StrictInt = Field(default=960, ge=160, le=3840)
    """Maximum width of the live view, pixels."""

    @model_validator(mode="after")
    def _check_key(self) -> "WebConfig":
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file needs certificate_file")
        return self

    @property
    def needs_password(self) -> bool:
        """Whether other devices can reach the web UI, directly or through the proxy."""
        return not self.host.is_loopback or self.proxy is not None

    @property
    def address(self) -> str:
        """URL of the web UI."""
        scheme = "https" if self.certificate_file else "http"
        host = f"[{self.host}]" if ":" in str(self.host) else str(self.host)
        return f"{scheme}://{host}:{self.port}"

    @property
    def browser_address(self) -> str:
        """URL for a browser: the mDNS name of this device stands for all its addresses."""
        own_name = f"{socket.gethostname().partition('.')[0]}.local"
        return self.address.replace("0.0.0.0", own_name)  # noqa: S104 - for a browser


class GpsConfig(Section):
    """Section `[gps]`: events carry the position that gpsd reports."""

    enabled: StrictBool = False
    """Add the position to events."""
    host: str = Field(default="127.0.0.1", min_length=1)
    """Host that gpsd runs on."""
    port: Port = 2947
    """Port of gpsd."""
    max_age_s: Seconds = 10.0
    """Seconds after which a position is outdated and left out."""


class OccupancyConfig(Section):
    """Section `[occupancy]`: which vehicles are inside."""

    enabled: StrictBool = False
    """Keep a session of each vehicle from its entry to its exit."""
    capacity: StrictInt | None = Field(default=None, ge=1, le=1_000_000)
    """Number of places; default: unknown."""
    entry: tuple[Name, ...] = Field(default=(), max_length=MAX_CAMERAS)
    """Cameras at which every vehicle enters. Cameras that are neither here nor in `exit` count by
    direction.way."""
    exit: tuple[Name, ...] = Field(default=(), max_length=MAX_CAMERAS)
    """Cameras at which every vehicle leaves."""
    max_days: StrictInt = Field(default=60, ge=1, le=3650)
    """Days after which a session ends, even if no exit was seen."""

    @model_validator(mode="after")
    def _check_cameras(self) -> "OccupancyConfig":
        if both := sorted(set(self.entry) & set(self.exit)):
            raise ValueError(f"camera {both[0]} is in both entry and exit")
        return self
