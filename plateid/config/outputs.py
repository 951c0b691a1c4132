"""Where events go: `[mqtt]`, `[homeassistant]`, `[lists]`, `[[webhook]]` and `[logfile]`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from plateid.config.section import Name, Section
from plateid.core.records import ListKind

Topic = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]+(/[a-zA-Z0-9_-]+){0,7}$")]


class MqttConfig(Section):
    """Section `[mqtt]`; a file that systemd hands over as a credential is named without a path."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Broker")
    tls: bool = Field(default=False, description="Encrypt, and check the broker's certificate")
    port: int = Field(
        default_factory=lambda known: 8883 if known.get("tls") else 1883,
        ge=1,
        le=65535,
        description="Port of the broker; default: 1883, with tls 8883",
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM file of whoever signed the broker's certificate; default: the system's",
    )
    certificate_file: Path | None = Field(
        default=None, description="PEM file of our own certificate, where the broker wants one"
    )
    key_file: Path | None = Field(
        default=None, description="PEM file of its key, unencrypted; default: in certificate_file"
    )
    username: str | None = Field(default=None, description="User at the broker")
    password_file: Path | None = Field(default=None, description="File that holds the password")
    prefix: Name = Field(default="plateid", description="First level of every topic")

    @model_validator(mode="after")
    def _nothing_is_said_in_vain(self) -> "MqttConfig":
        for key, needed in (
            ("ca_file", "tls"),
            ("certificate_file", "tls"),
            ("key_file", "certificate_file"),
            ("password_file", "username"),
        ):
            if getattr(self, key) and not getattr(self, needed):
                message = f"{key} needs {needed}"
                raise ValueError(message)
        return self


class HomeAssistantConfig(Section):
    """Section `[homeassistant]`."""

    enabled: bool = Field(default=True, description="Announce entities to Home Assistant")
    prefix: Topic = Field(
        default="homeassistant", description="Discovery prefix, as Home Assistant has it"
    )
    status_topic: Topic = Field(
        default="homeassistant/status", description="Where Home Assistant says that it is online"
    )


class ListsConfig(Section):
    """Section `[lists]`."""

    file: Path | None = Field(
        default=None,
        description="CSV file of known plates: plate,list,name,note,valid_from,valid_to,cameras; "
        "list is allow, deny or watch; read again when it changes",
    )
    max_distance: float = Field(
        default=0.5,
        ge=0,
        le=3,
        description="How far a plate may be from an entry: a look-alike, as O for 0, is 0.25, any "
        "other edit 1; 0: exact only",
    )


class WebhookConfig(Section):
    """Section `[[webhook]]`."""

    name: Name = Field(description="Name in the log; what waits for it is kept under it")
    url: str = Field(
        pattern=r"^https?://[^/@\s]+(/\S*)?$",
        description="Where each event is sent by POST, http:// or https://",
    )
    secret_file: Path | None = Field(
        default=None,
        description="File of a base64 secret, as of `openssl rand -base64 32`, to sign with; a "
        "credential of systemd is named without a path; default: no signature",
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM file of whoever signed the server's certificate; default: the system's",
    )
    timeout_s: float = Field(default=10.0, gt=0, le=60, description="Longest wait for an answer")
    lists: tuple[ListKind | Literal["none"], ...] = Field(
        default=(),
        description="Send only plates of these lists; none: those of no list; empty: all",
    )
    cameras: tuple[Name, ...] = Field(
        default=(), description="Send only what these cameras saw; empty: what all saw"
    )
    events: tuple[Literal["plate_seen", "plate_left"], ...] = Field(
        default=(), description="Send only these; a gate wants plate_seen; empty: both"
    )
    max_age_s: float | None = Field(
        default=None,
        gt=0,
        description="Seconds after its vehicle was last seen from which on an event is not sent: a "
        "gate opens for nobody who has gone; default: sent whenever it can be",
    )


class LogfileConfig(Section):
    """Section `[logfile]`; a file that is moved away, as logrotate does, is begun anew."""

    csv: Path | None = Field(default=None, description="File that gets a row for each event")
    jsonl: Path | None = Field(
        default=None, description="File that gets each event as a line of JSON"
    )
