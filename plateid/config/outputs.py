"""Where events go: `[mqtt]`, `[homeassistant]`, `[lists]`, `[[webhook]]` and `[logfile]`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, StrictBool, StrictFloat, model_validator

from plateid.config.cameras import MAX_CAMERAS
from plateid.config.section import (
    ConfigPath,
    CredentialPath,
    Name,
    Port,
    Seconds,
    Section,
    matching,
)

MAX_BROKERS = 16
"""Maximum number of MQTT brokers; a cluster has three or five."""
MAX_WEBHOOKS = 16
"""Maximum number of webhooks; each has a thread of its own."""
CREATED_LISTS = "plateid-lists.csv"
"""Name of the list file beside the store that the web UI creates. It is used if `lists.file` is not
set."""
Topic = Annotated[
    str, matching(r"[a-zA-Z0-9_-]+(/[a-zA-Z0-9_-]+){0,7}", "an MQTT topic without wildcards")
]
Url = Annotated[
    str, matching(r"https?://[^/@\s]+(/\S*)?", "an http:// or https:// URL without a password")
]
VisitUrl = Annotated[
    str, matching(r"((https?|homeassistant)://[^/@\s]+(/\S*)?)?", "a URL without a password")
]


def _hosts(value: Any) -> str | tuple[str, ...]:
    """Returns one host, or several; a union of types would report each type on its own."""
    hosts = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not all(isinstance(host, str) for host in hosts):
        raise ValueError("must be text in quotes")
    if not all(hosts) or not hosts:
        raise ValueError("must not be empty")
    if len(hosts) > MAX_BROKERS or not all(host.isprintable() for host in hosts):
        raise ValueError(f"must be up to {MAX_BROKERS} host names")
    return value if isinstance(value, str) else hosts


@dataclass(frozen=True)
class Broker:
    """Host and port of an MQTT broker."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class MqttConfig(Section):
    """Section `[mqtt]`: the broker. Name a systemd credential without a path."""

    host: Annotated[str | tuple[str, ...], PlainValidator(_hosts)] = "127.0.0.1"
    """Host name of the broker, or a list of them: if one is away, plateid uses the next one. An
    entry may end with a port of its own, as in broker:1884."""
    tls: StrictBool = False
    """Use TLS and check the broker's certificate."""
    port: Port = Field(default_factory=lambda known: 8883 if known.get("tls") else 1883)
    """Port of the broker; default: 1883, with tls 8883."""
    ca_file: CredentialPath | None = None
    """PEM file of the CA of the broker's certificate; default: the system's CAs."""
    certificate_file: CredentialPath | None = None
    """PEM file of a client certificate, if the broker asks for one."""
    key_file: CredentialPath | None = None
    """PEM file of its unencrypted key; default: in certificate_file."""
    username: str | None = None
    """User name at the broker."""
    password_file: CredentialPath | None = None
    """File that holds the password."""
    prefix: Name = "plateid"
    """First level of every topic."""

    @property
    def entries(self) -> tuple[str, ...]:
        """The brokers as they are written."""
        return (self.host,) if isinstance(self.host, str) else self.host

    @property
    def brokers(self) -> tuple[Broker, ...]:
        """All brokers, in order."""
        parts = (re.fullmatch(r"(?:\[(.+)]|([^:]+)):(\d+)", entry) for entry in self.entries)
        return tuple(
            Broker(part[1] or part[2], int(part[3])) if part else Broker(entry, self.port)
            for entry, part in zip(self.entries, parts, strict=True)
        )

    def each(self) -> tuple["MqttConfig", ...]:
        """Returns the configuration of each broker alone."""
        return tuple(self.model_copy(update={"host": entry}) for entry in self.entries)

    @model_validator(mode="after")
    def _check_dependent_keys(self) -> "MqttConfig":
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
    """Section `[homeassistant]`: discovery over MQTT."""

    enabled: StrictBool = True
    """Publish entities for Home Assistant."""
    prefix: Topic = "homeassistant"
    """Discovery prefix, as set in Home Assistant."""
    status_topic: Topic = "homeassistant/status"
    """Topic of Home Assistant's birth message."""
    configuration_url: VisitUrl | None = None
    """Address behind the link "Visit", for example of a reverse proxy; default: that of the web UI,
    if other devices reach it; empty: no link."""


class ListsConfig(Section):
    """Section `[lists]`: known plates."""

    file: ConfigPath | None = None
    """CSV file of known plates: plate,list,name,note,valid_from,valid_to,cameras; list is allow,
    deny or watch. plateid reads it again when it changes. Default: the file that the web UI has
    created, plateid-lists.csv beside the store."""
    max_distance: StrictFloat = Field(default=0.5, ge=0, le=3)
    """Maximum edit distance between a plate and an entry: confusable characters, such as O and 0,
    count 0.25, other edits 1; 0: exact match."""


class WebhookConfig(Section):
    """Section `[[webhook]]`: a server that gets events by HTTP; one section for each."""

    name: Name
    """Name in the log; events that wait are stored under it."""
    url: Url
    """URL that each event is sent to by POST, http:// or https://."""
    secret_file: CredentialPath | None = None
    """File of a base64 secret (`openssl rand -base64 32`) that signs each request; a systemd
    credential is named without a path; default: no signature."""
    ca_file: ConfigPath | None = None
    """PEM file of the CA of the server's certificate; default: the system's CAs."""
    timeout_s: StrictFloat = Field(default=10.0, gt=0, le=60)
    """Maximum time until the server answers, seconds."""
    lists: tuple[Literal["allow", "deny", "watch", "none"], ...] = Field(default=(), max_length=4)
    """Send only plates of these lists; none: unlisted plates; empty: all plates."""
    cameras: tuple[Name, ...] = Field(default=(), max_length=MAX_CAMERAS)
    """Send only events of these cameras; empty: of all cameras."""
    events: tuple[Literal["plate_seen", "plate_left"], ...] = Field(default=(), max_length=2)
    """Send only these events; a gate needs plate_seen; empty: both."""
    max_age_s: Seconds | None = None
    """Seconds after last_seen at which an event is no longer sent, so that a gate does not open for
    a vehicle that has gone; default: no limit."""


class LogfileConfig(Section):
    """Section `[logfile]`: files of all events. One that logrotate moves is created again."""

    enabled: StrictBool = True
    """Write the files below."""
    csv: ConfigPath | None = None
    """File that gets each event as a CSV row."""
    jsonl: ConfigPath | None = None
    """File that gets each event as a line of JSON."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are written."""
        return tuple(file for file in (self.csv, self.jsonl) if self.enabled and file is not None)
