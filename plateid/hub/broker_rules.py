"""Writes the rules of a broker: a device writes its own topics only, and reads what is sent to it.

Client certificates name their users: `CN=gate` is the device gate, `CN=hub` the hub.
"""

from collections.abc import Iterable

HUB = "hub"
"""Name in the certificate of the hub; no device may have it."""
MOSQUITTO_CONF = """\
# mosquitto.conf of a fleet: TLS with client certificates only
listener 8883
cafile {folder}/ca.crt
certfile {folder}/broker.crt
keyfile {folder}/broker.key
require_certificate true
use_identity_as_username true
acl_file {folder}/plateid.acl
# revoked devices: copy this file of the hub's folder, and restart the broker after a change
# crlfile {folder}/crl.pem
# longest message, bytes: an image
max_packet_size 10000000
# a killed broker loses what it has not saved: with 1800 s it lost 278 events, with 1 s none
persistence true
autosave_interval 1
# hubs that are away: by default 1000 messages
max_queued_messages 0
persistent_client_expiration 7d
"""
MOSQUITTO_ACL = """\
# plateid.acl: %u is the name in the client's certificate
user {hub}
topic readwrite {prefix}/#
pattern write {prefix}/%u/#
pattern read {prefix}/%u/resend
pattern read {prefix}/%u/desired
"""
NATS_USER = """\
  {{ user: "CN={device}", permissions: {{
    publish: ["{prefix}.{device}.>"]
    subscribe: ["{prefix}.{device}.>", "$MQTT.sub.>"] }} }}
"""
NATS = """\
# plateid-rules.conf: include it in the configuration of each node
mqtt {{
  port: 8883
  tls {{ cert_file: "{folder}/broker.crt", key_file: "{folder}/broker.key",
    ca_file: "{folder}/ca.crt", verify_and_map: true }}
  # sessions of devices that never come back would keep their data for ever
  consumer_inactive_threshold: "168h"
}}
tls {{ cert_file: "{folder}/broker.crt", key_file: "{folder}/broker.key",
  ca_file: "{folder}/ca.crt", verify_and_map: true }}
authorization {{ users: [
  {{ user: "CN={hub}" }}
{users}] }}
"""


def mosquitto_rules(prefix: str, folder: str) -> dict[str, str]:
    """Returns mosquitto's files by their names; `folder` has the certificates. For any device."""
    return {
        "mosquitto.conf": MOSQUITTO_CONF.format(folder=folder),
        "plateid.acl": MOSQUITTO_ACL.format(prefix=prefix, hub=HUB),
    }


def nats_rules(prefix: str, folder: str, devices: Iterable[str]) -> dict[str, str]:
    """Returns the file of a NATS node by its name; NATS needs the names of all devices."""
    users = "".join(NATS_USER.format(prefix=prefix, device=device) for device in sorted(devices))
    return {"plateid-rules.conf": NATS.format(folder=folder, hub=HUB, users=users)}
