"""The configuration file of the hub, `hub.toml`."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from plateid.config.outputs import MqttConfig, Url
from plateid.config.section import ConfigPath, CredentialPath, Section, matching
from plateid.config.service import WebConfig

MAX_SERVERS = 16
"""Maximum number of servers of a NATS cluster; JetStream uses up to five."""
PostgresUrl = Annotated[
    str, matching(r"postgres(ql)?://\S*", "a URL such as postgresql://hub@localhost/plateid")
]
NatsUrl = Annotated[
    str,
    matching(
        r"(nats|tls)://([^/@:\s]+|\[[0-9a-f:]+\])(:\d{1,5})?", "a URL such as tls://nats-1:4222"
    ),
]


def is_loopback(host: str) -> bool:
    """Returns whether a host name, an address, or the folder of a socket is this machine's."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host in ("", "localhost") or host.startswith(("/", "%2F"))


class DatabaseConfig(Section):
    """Section `[database]`: the PostgreSQL database that keeps all events."""

    url: PostgresUrl
    """URL of the database. Outside this machine, the default of sslmode is verify-full."""
    password_file: CredentialPath | None = None
    """File with the password; default: the `passfile` of the URL, if any."""

    @property
    def endpoint(self) -> str:
        """The database without user and password."""
        parts = urlsplit(self.url)
        return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"

    @property
    def is_local(self) -> bool:
        """Whether the database runs on this machine."""
        return is_loopback(urlsplit(self.url).hostname or "")


class HubMqttConfig(MqttConfig):
    """Section `[mqtt]`: the broker of the devices."""

    tls: StrictBool = Field(
        default_factory=lambda known: (
            not all(is_loopback(broker.host) for broker in MqttConfig(host=known["host"]).brokers)
        )
    )
    """Use TLS and check the broker's certificate; default: unless all hosts are this machine."""


class NatsConfig(Section):
    """Section `[nats]`: set it if the broker is NATS; it takes user and files of `[mqtt]`."""

    servers: tuple[NatsUrl, ...] = Field(default=(), max_length=MAX_SERVERS)
    """URLs of the cluster's nodes for NATS clients; tls:// unless they are this machine."""

    @model_validator(mode="after")
    def _check_tls(self) -> "NatsConfig":
        for server in self.servers:
            if not server.startswith("tls:") and not is_loopback(urlsplit(server).hostname or ""):
                raise ValueError(f"{server} is another machine: use tls://")
        return self


class IngestConfig(Section):
    """Section `[ingest]`: how the hub takes events."""

    batch_events: StrictInt = Field(default=500, ge=1, le=10_000)
    """Maximum number of events that one transaction stores."""
    batch_ms: StrictInt = Field(default=200, ge=1, le=10_000)
    """Longest time that an event waits for its transaction, milliseconds."""
    device_rate: StrictFloat = Field(default=20.0, gt=0)
    """Events per second above which a device floods: the hub counts them and asks for them later.
    A device that was away may send 10,000 at once."""


class AlertsConfig(Section):
    """Section `[alerts]`: faults of devices."""

    webhook: Url | None = None
    """URL that gets each start and end of a fault by POST; it is tried again until it answers."""


class HubConfig(Section):
    """The whole of `hub.toml`."""

    database: DatabaseConfig
    folder: ConfigPath = Path("plateid-hub")
    """Directory of the master list, the users of the web UI, the audit log and the hub's keys."""
    trusted_keys: ConfigPath = Path("/etc/plateid/keys")
    """Directory of the public keys (Ed25519, *.pem) that may sign bundles for devices."""
    url: Url | None = None
    """URL at which devices reach the web UI; default: that of `[web]`, with the mDNS name of this
    machine for 0.0.0.0."""
    mqtt: HubMqttConfig = HubMqttConfig()
    nats: NatsConfig = NatsConfig()
    ingest: IngestConfig = IngestConfig()
    web: WebConfig = WebConfig()
    alerts: AlertsConfig = AlertsConfig()
    retention_days: StrictInt = Field(default=365, ge=1, le=36_500)
    """Days after which events, their labels and images are deleted; events go by whole months."""

    @property
    def address(self) -> str:
        """URL of the web UI for devices."""
        return self.url or self.web.browser_address
