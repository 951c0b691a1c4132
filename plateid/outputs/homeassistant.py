"""MQTT discovery for devices, as Home Assistant 2026.11 takes it.

https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from plateid import __version__
from plateid.outputs.mqtt_topics import MqttDevice

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
    types, image = ["plate_seen", "plate_left"], device.topic(camera, "snapshot")
    return {
        "event": _part("event", f"{camera} plate", event, event_types=types, icon="mdi:car"),
        "last": _part(
            "sensor",
            f"{camera} last plate",
            last,
            value_template="{{ value_json.plate }}",
            json_attributes_topic=last,
            force_update=True,  # the same vehicle twice is two changes
            icon="mdi:card-text-outline",
        ),
        "snapshot": {
            "p": "image",
            "name": f"{camera} snapshot",
            "image_topic": image,
            "content_type": "image/jpeg",
        },
        "online": _diagnostic(
            f"{camera} camera",
            status,
            device_class="connectivity",
            payload_on="online",
            payload_off="offline",
        ),
        "reads": _measurement(
            device,
            f"{camera} reads per minute",
            f"cameras['{camera}'].reads_per_minute",
            unit_of_measurement="1/min",
            availability=[{"topic": device.topic("status")}, {"topic": status}],
            icon="mdi:counter",
        ),
    }


def _of_device(device: MqttDevice) -> dict[str, Component]:
    inside, health, disk = map(device.topic, ("occupancy", "health", "disk"))
    counts = {"inside": "vehicles inside"} if device.occupancy else {}
    counts |= {"free": "free places"} if device.capacity else {}
    look = {"state_class": "measurement", "icon": "mdi:parking"}
    clock = "{{ {true: 'OFF', false: 'ON'}.get(value_json.clock_synced) }}"
    return {
        key: _part("sensor", name, inside, value_template=f"{{{{ value_json.{key} }}}}", **look)
        for key, name in counts.items()
    } | {
        "outbox": _measurement(
            device,
            "outbox",
            "outbox.events",
            unit_of_measurement="events",
            json_attributes_topic=health,
            json_attributes_template="{{ value_json.outbox | tojson }}",
            icon="mdi:tray-full",
        ),
        "clock": _diagnostic("clock", health, device_class="problem", value_template=clock),
        "store": _diagnostic(
            "disk", disk, device_class="problem", payload_on="failed", payload_off="ok"
        ),
        "disk": _measurement(
            device, "disk free", "disk_free_mb", device_class="data_size", unit_of_measurement="MB"
        ),
        "temperature": _measurement(
            device,
            "temperature",
            "temperature_c",
            device_class="temperature",
            unit_of_measurement="°C",
        ),
    }


def _part(platform: str, name: str, topic: str, **settings: Any) -> Component:
    return {"p": platform, "name": name, "state_topic": topic, **settings}


def _diagnostic(name: str, topic: str, **settings: Any) -> Component:
    return _part("binary_sensor", name, topic, entity_category="diagnostic", **settings)


def _measurement(device: MqttDevice, name: str, value: str, **settings: Any) -> Component:
    """Returns a diagnostic sensor with a number of the health report."""
    settings |= {"entity_category": "diagnostic", "state_class": "measurement"}
    template = f"{{{{ value_json.{value} }}}}"
    return _part("sensor", name, device.topic("health"), value_template=template, **settings)


def _last_seen(device: MqttDevice, name: str) -> Component:
    """Uses the health report, since Home Assistant forgets states when it restarts."""
    template = f"{{{{ value_json.last_seen[{json.dumps(name, ensure_ascii=False)}] }}}}"
    look = {"device_class": "timestamp", "icon": "mdi:car-clock", "value_template": template}
    return _part("sensor", f"{name} last seen", device.topic("health"), **look)


def _presence(device: MqttDevice, name: str) -> Component:
    """Says whether a vehicle of a list entry is inside."""
    quoted = json.dumps(name, ensure_ascii=False)
    template = f"{{{{ 'ON' if {quoted} in value_json.listed else 'OFF' }}}}"
    look = {"device_class": "presence", "value_template": template}
    return _part("binary_sensor", f"{name} inside", device.topic("occupancy"), **look)


def _complete(device: MqttDevice, unique_id: str, part: Component) -> Component:
    """Returns an entity with its ids, such as `sensor.gate_drive_last_plate`."""
    name = re.sub(r"[^a-z0-9]+", "_", f"{device.device} {part['name']}".lower()).strip("_")
    return part | {"unique_id": unique_id, "default_entity_id": f"{part['p']}.{name}"}
