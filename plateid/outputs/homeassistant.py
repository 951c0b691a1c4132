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
DIAGNOSTIC = {"entity_category": "diagnostic"}
MEASUREMENT = {"platform": "sensor", "state_class": "measurement"}


def device_id(device: MqttDevice) -> str:
    """Returns an identifier that does not depend on the names of device and topics."""
    return f"plateid_{device.instance}"


def components(device: MqttDevice, list_names: Iterable[str] = ()) -> dict[str, Component]:
    """Returns all entities by unique id; `list_names` are names of list entries."""
    parts = dict(_of_device(device))
    for camera in device.cameras:
        parts |= {(camera, key): part for key, part in _of_camera(device, camera).items()}
        if not device.images:
            del parts[camera, "snapshot"]
    parts |= {("listed", name): _last_seen(device, name) for name in list_names}
    return {
        unique_id: {
            "unique_id": unique_id,
            "default_entity_id": f"{part['platform']}.{_slug(device.device, part['name'])}",
            **part,
        }
        for keys, part in parts.items()
        for unique_id in ["_".join((device_id(device), *keys))]
    }


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
        "availability": [{"topic": device.status_topic}],
        "availability_mode": "all",
        "qos": 1,
        "cmps": {key: {"p": platform} for key, platform in removed.items()}
        | {key: _with_p(part) for key, part in parts.items()},
    }
    return json.dumps(payload, separators=(",", ":"))


def _of_camera(device: MqttDevice, camera: str) -> dict[str, Component]:
    """Events stay available while a camera is offline: its last event may come later."""
    root = f"{device.root}/{camera}"
    status = {"topic": f"{root}/status"}
    return {
        "event": {
            "platform": "event",
            "name": f"{camera} plate",
            "state_topic": f"{root}/event",
            "event_types": ["plate_seen", "plate_left"],
            "availability": [],  # or Home Assistant repeats the last event when the device returns
            "icon": "mdi:car",
        },
        "last": {
            "platform": "sensor",
            "name": f"{camera} last plate",
            "state_topic": f"{root}/last",
            "value_template": "{{ value_json.plate }}",
            "json_attributes_topic": f"{root}/last",
            "force_update": True,  # the same vehicle twice is two changes
            "icon": "mdi:card-text-outline",
        },
        "snapshot": {
            "platform": "image",
            "name": f"{camera} snapshot",
            "image_topic": device.camera_topic(camera, "snapshot"),
            "content_type": "image/jpeg",
        },
        "online": DIAGNOSTIC
        | {
            "platform": "binary_sensor",
            "name": f"{camera} camera",
            "device_class": "connectivity",
            "state_topic": f"{root}/status",
            "payload_on": "online",
            "payload_off": "offline",
        },
        "reads": DIAGNOSTIC
        | MEASUREMENT
        | {
            "name": f"{camera} reads per minute",
            "state_topic": device.health_topic,
            "value_template": f"{{{{ value_json.cameras['{camera}'].reads_per_minute }}}}",
            "unit_of_measurement": "1/min",
            "availability": [{"topic": device.status_topic}, status],
            "icon": "mdi:counter",
        },
    }


def _of_device(device: MqttDevice) -> dict[tuple[str, ...], Component]:
    health = DIAGNOSTIC | {"state_topic": device.health_topic}
    return {
        ("outbox",): health
        | MEASUREMENT
        | {
            "name": "outbox",
            "value_template": "{{ value_json.outbox.events }}",
            "unit_of_measurement": "events",
            "json_attributes_topic": device.health_topic,
            "json_attributes_template": "{{ value_json.outbox | tojson }}",
            "icon": "mdi:tray-full",
        },
        ("clock",): health
        | {
            "platform": "binary_sensor",
            "name": "clock",
            "device_class": "problem",
            "value_template": "{{ {true: 'OFF', false: 'ON'}.get(value_json.clock_synced) }}",
        },
        ("disk",): health
        | MEASUREMENT
        | {
            "name": "disk free",
            "value_template": "{{ value_json.disk_free_mb }}",
            "device_class": "data_size",
            "unit_of_measurement": "MB",
        },
        ("temperature",): health
        | MEASUREMENT
        | {
            "name": "temperature",
            "value_template": "{{ value_json.temperature_c }}",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
        },
    }


def _last_seen(device: MqttDevice, name: str) -> Component:
    """Uses the health report, since Home Assistant forgets states when it restarts."""
    return {
        "platform": "sensor",
        "name": f"{name} last seen",
        "device_class": "timestamp",
        "state_topic": device.health_topic,
        "value_template": f"{{{{ value_json.last_seen[{json.dumps(name, ensure_ascii=False)}] }}}}",
        "icon": "mdi:car-clock",
    }


def _with_p(part: Component) -> Component:
    return {"p" if key == "platform" else key: value for key, value in part.items()}


def _slug(*words: str) -> str:
    """Returns a text such as `gate_drive_last_plate`."""
    return re.sub(r"[^a-z0-9]+", "_", " ".join(words).lower()).strip("_")
