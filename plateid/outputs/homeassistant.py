"""What Home Assistant is told of a box: MQTT discovery for devices, by Home Assistant 2026.11.

https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from plateid import __version__
from plateid.outputs.mqtt_device import Box

Component = dict[str, Any]
DIAGNOSTIC = {"entity_category": "diagnostic"}
MEASUREMENT = {"platform": "sensor", "state_class": "measurement"}


def device_id(box: Box) -> str:
    """Stays the same when the box or its topics get another name."""
    return f"plateid_{box.instance}"


def components(box: Box, listed: Iterable[str] = ()) -> dict[str, Component]:
    """All entities by their unique ids; `listed` are names that stand on the lists."""
    parts = dict(_of_device(box))
    for camera in box.cameras:
        parts |= {(camera, key): part for key, part in _of_camera(box, camera).items()}
        if not box.images:
            del parts[camera, "snapshot"]
    parts |= {("listed", name): _last_seen(box, name) for name in listed}
    return {
        unique_id: {
            "unique_id": unique_id,
            "default_entity_id": f"{part['platform']}.{_slug(box.device, part['name'])}",
            **part,
        }
        for keys, part in parts.items()
        for unique_id in ["_".join((device_id(box), *keys))]
    }


def announcement(box: Box, parts: Mapping[str, Component], *, gone: Mapping[str, str]) -> str:
    """The payload; of the components in `gone` only the platform is said, which removes them."""
    payload = {
        "dev": {"ids": [device_id(box)], "name": box.device, "mf": "plateid", "sw": __version__},
        "o": {"name": "plateid", "sw": __version__},
        "availability": [{"topic": box.status_topic}],
        "availability_mode": "all",
        "qos": 1,
        "cmps": {key: {"p": platform} for key, platform in gone.items()}
        | {key: _with_p(part) for key, part in parts.items()},
    }
    return json.dumps(payload, separators=(",", ":"))


def _of_camera(box: Box, camera: str) -> dict[str, Component]:
    """Events and what is left of them outlive a camera's outage: its last event comes after it."""
    root = f"{box.root}/{camera}"
    status = {"topic": f"{root}/status"}
    return {
        "event": {
            "platform": "event",
            "name": f"{camera} plate",
            "state_topic": f"{root}/event",
            "event_types": ["plate_seen", "plate_left"],
            "availability": [],  # else it has its last event anew when the box comes back
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
            "image_topic": box.snapshot_topic(camera),
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
            "state_topic": box.health_topic,
            "value_template": f"{{{{ value_json.cameras['{camera}'].reads_per_minute }}}}",
            "unit_of_measurement": "1/min",
            "availability": [{"topic": box.status_topic}, status],
            "icon": "mdi:counter",
        },
    }


def _of_device(box: Box) -> dict[tuple[str, ...], Component]:
    health = DIAGNOSTIC | {"state_topic": box.health_topic}
    return {
        ("outbox",): health
        | MEASUREMENT
        | {
            "name": "outbox",
            "value_template": "{{ value_json.outbox.events }}",
            "unit_of_measurement": "events",
            "json_attributes_topic": box.health_topic,
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


def _last_seen(box: Box, name: str) -> Component:
    """By the health, which the store remembers: Home Assistant forgets when it restarts."""
    return {
        "platform": "sensor",
        "name": f"{name} last seen",
        "device_class": "timestamp",
        "state_topic": box.health_topic,
        "value_template": f"{{{{ value_json.last_seen[{json.dumps(name, ensure_ascii=False)}] }}}}",
        "icon": "mdi:car-clock",
    }


def _with_p(part: Component) -> Component:
    return {"p" if key == "platform" else key: value for key, value in part.items()}


def _slug(*words: str) -> str:
    """As in `gate_drive_last_plate`."""
    return re.sub(r"[^a-z0-9]+", "_", " ".join(words).lower()).strip("_")
