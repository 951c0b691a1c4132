"""What others ask this box, and it asks: `[metrics]`, `[web]` and `[gps]`."""

from ipaddress import IPv4Address
from pathlib import Path

from pydantic import Field, IPvAnyAddress, model_validator

from plateid.config.section import Section


class MetricsConfig(Section):
    """Section `[metrics]`: what Prometheus scrapes, at http://host:port/metrics."""

    host: IPvAnyAddress = Field(
        default=IPv4Address("127.0.0.1"),
        description="Address to listen at; whoever reaches it may read, so 0.0.0.0 is for networks "
        "that you trust",
    )
    port: int = Field(default=9797, ge=1, le=65535, description="Port to listen at")


class WebConfig(Section):
    """Section `[web]`: the live page."""

    enabled: bool = Field(default=False, description="Serve the live page")
    host: IPvAnyAddress = Field(
        default=IPv4Address("127.0.0.1"),
        description="Address to listen at; one that others reach, as 0.0.0.0, needs a password, "
        "which `plateid web set-password` sets",
    )
    port: int = Field(default=8480, ge=1, le=65535, description="Port to listen at")
    certificate_file: Path | None = Field(
        default=None, description="PEM file of a certificate: the page is served by https only"
    )
    key_file: Path | None = Field(
        default=None, description="PEM file of its key, unencrypted; default: in certificate_file"
    )
    proxy: IPvAnyAddress | None = Field(
        default=None,
        description="Address of a proxy that stands before the page, and says who asks "
        "(X-Forwarded-For, X-Forwarded-Proto); needs a password",
    )
    fps: int = Field(
        default=5, ge=1, le=25, description="Pictures a second of the live view, at most"
    )
    width: int = Field(default=960, ge=160, le=3840, description="Its width, in pixels at most")

    @model_validator(mode="after")
    def _a_key_has_a_certificate(self) -> "WebConfig":
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file needs certificate_file")
        return self

    @property
    def needs_password(self) -> bool:
        """Whether others than the users of this machine get here."""
        return not self.host.is_loopback or self.proxy is not None


class GpsConfig(Section):
    """Section `[gps]`: events bear the position that gpsd tells."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Where gpsd runs")
    port: int = Field(default=2947, ge=1, le=65535, description="Its port")
    max_age_s: float = Field(
        default=10.0, gt=0, description="An older position is none: the box has moved on"
    )
