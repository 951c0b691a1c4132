"""MQTT discovery for devices, as Home Assistant 2026.11 takes it.

https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from plateid import __version__
from plateid.outputs.mqtt_device import MqttDevice

Component = dict[str, Any]
"""Settings of one entity; `p` is its platform."""


def device_id(device: MqttDevice) -> str:
    """Returns an identifier that does not depend on the names of device and topics."""
    return f"plateid_{device.instance}"


def components(device: MqttDevice, list_names: Iterable[str] = ()) -> dict[str, Component]:
    """Returns all entities by unique id; `list_names` are names of list entries."""
    parts = _of_device(device)
    for camera in device.cameras:
        parts |= {f"{camera}_{key}": part for key, part in _of_camera(device, camera).items()}
        if not device.images:
            del parts[f"{camera}_snapshot"]
    for name in list_names:
        parts[f"listed_{name}"] = _last_seen(device, name)
        if device.occupancy:
            parts[f"inside_{name}"] = _presence(device, name)
    return {f"{device_id(device)}_{key}": part for key, part in parts.items()}


def discovery_payload(
    device: MqttDevice, parts: Mapping[str, Component], *, removed: Mapping[str, str]
) -> str:
    """Returns the discovery message. A component in `removed` has its platform only."""
    payload = {
        "dev": {
            "ids": [device_id(device)],
            "name": device.device,
            "mf": "plateid",
            "sw": __version__,
        },
        "o": {"name": "plateid", "sw": __version__},
        "availability": [{"topic": device.topic("status")}],
        "availability_mode": "all",
        "qos": 1,
        "cmps": {key: {"p": platform} for key, platform in removed.items()}
        | {unique_id: _complete(device, unique_id, part) for unique_id, part in parts.items()},
    }
    return json.dumps(payload, separators=(",", ":"))


def _of_camera(device: MqttDevice, camera: str) -> dict[str, Component]:
    """Events stay available while a camera is offline: its last event may come later."""
    event, last, status = (device.topic(camera, name) for name in ("event", "last", "status"))
    return {
        "event": {
            "p": "event",
            "name": f"{camera} plate",
            "state_topic": event,
            "event_types": ["plate_seen", "plate_left"],
            "icon": "mdi:car",
        },
        "last": {
            "p": "sensor",
            "name": f"{camera} last plate",
            "state_topic": last,
            "value_template": "{{ value_json.plate }}",
            "json_attributes_topic": last,
            "force_update": True,  # the same vehicle twice is two changes
            "icon": "mdi:card-text-outline",
        },
        "snapshot": {
            "p": "image",
            "name": f"{camera} snapshot",
            "image_topic": device.topic(camera, "snapshot"),
            "content_type": "image/jpeg",
        },
        "online": {
            "p": "binary_sensor",
            "name": f"{camera} camera",
            "entity_category": "diagnostic",
            "device_class": "connectivity",
            "state_topic": status,
            "payload_on": "online",
            "payload_off": "offline",
        },
        "reads": _measurement(
            device,
            f"{camera} reads per minute",
            f"{{{{ value_json.cameras['{camera}'].reads_per_minute }}}}",
            unit_of_measurement="1/min",
            availability=[{"topic": device.topic("status")}, {"topic": status}],
            icon="mdi:counter",
        ),
    }


def _of_device(device: MqttDevice) -> dict[str, Component]:
    topic, counts = device.topic("occupancy"), {"inside": "vehicles inside", "free": "free places"}
    shown = [*(["inside"] * device.occupancy), *(["free"] * device.capacity)]
    return {
        key: {
            "p": "sensor",
            "name": counts[key],
            "state_class": "measurement",
            "state_topic": topic,
            "value_template": f"{{{{ value_json.{key} }}}}",
            "icon": "mdi:parking",
        }
        for key in shown
    } | {
        "outbox": _measurement(
            device,
            "outbox",
            "{{ value_json.outbox.events }}",
            unit_of_measurement="events",
            json_attributes_topic=device.topic("health"),
            json_attributes_template="{{ value_json.outbox | tojson }}",
            icon="mdi:tray-full",
        ),
        "clock": {
            "p": "binary_sensor",
            "name": "clock",
            "entity_category": "diagnostic",
            "device_class": "problem",
            "state_topic": device.topic("health"),
            "value_template": "{{ {true: 'OFF', false: 'ON'}.get(value_json.clock_synced) }}",
        },
        "store": {
            "p": "binary_sensor",
            "name": "disk",
            "entity_category": "diagnostic",
            "device_class": "problem",
            "state_topic": device.topic("disk"),
            "payload_on": "failed",
            "payload_off": "ok",
        },
        "disk": _measurement(
            device,
            "disk free",
            "{{ value_json.disk_free_mb }}",
            device_class="data_size",
            unit_of_measurement="MB",
        ),
        "temperature": _measurement(
            device,
            "temperature",
            "{{ value_json.temperature_c }}",
            device_class="temperature",
            unit_of_measurement="°C",
        ),
    }


def _measurement(device: MqttDevice, name: str, template: str, **settings: Any) -> Component:
    """Returns a diagnostic sensor with a number of the health report."""
    return {
        "p": "sensor",
        "name": name,
        "entity_category": "diagnostic",
        "state_class": "measurement",
        "state_topic": device.topic("health"),
        "value_template": template,
        **settings,
    }


def _last_seen(device: MqttDevice, name: str) -> Component:
    """Uses the health report, since Home Assistant forgets states when it restarts."""
    return {
        "p": "sensor",
        "name": f"{name} last seen",
        "device_class": "timestamp",
        "state_topic": device.topic("health"),
        "value_template": f"{{{{ value_json.last_seen[{json.dumps(name, ensure_ascii=False)}] }}}}",
        "icon": "mdi:car-clock",
    }


def _presence(device: MqttDevice, name: str) -> Component:
    """Says whether a vehicle of a list entry is inside."""
    quoted = json.dumps(name, ensure_ascii=False)
    return {
        "p": "binary_sensor",
        "name": f"{name} inside",
        "device_class": "presence",
        "state_topic": device.topic("occupancy"),
        "value_template": f"{{{{ 'ON' if {quoted} in value_json.listed else 'OFF' }}}}",
    }


def _complete(device: MqttDevice, unique_id: str, part: Component) -> Component:
    """Returns an entity with its ids."""
    entity_id = f"{part['p']}.{_slug(device.device, part['name'])}"
    return part | {"unique_id": unique_id, "default_entity_id": entity_id}


def _slug(*words: str) -> str:
    """Returns a text such as `gate_drive_last_plate`."""
    return re.sub(r"[^a-z0-9]+", "_", " ".join(words).lower()).strip("_")
