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
ATTRIBUTES = (
    *("event_type", "id", "pass_id", "device", "camera", "plate", "plate_display", "confidence"),
    *("region", "list", "first_seen", "last_seen", "direction", "dwell_s", "parked"),
    *("corrected", "replayed"),
)
"""Fields of an event that become attributes. Home Assistant stores all attributes of each state."""
EVENT_TEMPLATE = f"{{{{ dict(value_json.items() | selectattr(0, 'in', {ATTRIBUTES})) | tojson }}}}"
MIGRATION = '{"migrate_discovery":true}'
"""Message that makes Home Assistant unload the entities of a device but keep their settings."""


def device_id(device: MqttDevice, camera: str = "") -> str:
    """Returns an identifier that does not depend on the names of device and topics."""
    return f"plateid_{device.instance}" + (f"_{camera}" if camera else "")


def components(device: MqttDevice, list_names: Iterable[str] = ()) -> dict[str, Component]:
    """Returns the entities of the device itself by unique id; `list_names` are of list entries."""
    parts = _of_device(device)
    for name in list_names:
        parts[f"listed_{name}"] = _last_seen(device, name)
        if device.occupancy:
            parts[f"inside_{name}"] = _presence(device, name)
    return {f"{device_id(device)}_{key}": part for key, part in parts.items()}


def camera_components(device: MqttDevice, camera: str) -> dict[str, Component]:
    """Returns the entities of a camera by unique id; one to remove has its platform only."""
    parts = _of_camera(device, camera)
    if not device.images:
        parts["snapshot"] = {"p": "image"}
    return {f"{device_id(device, camera)}_{key}": part for key, part in parts.items()}


def discovery_payload(
    device: MqttDevice,
    parts: Mapping[str, Component],
    *,
    removed: Mapping[str, str],
    camera: str = "",
) -> str:
    """Returns the message of the device or a camera; `removed` components have a platform only."""
    name = f"{device.device} {camera}" if camera else device.device
    payload = {
        "dev": _device_info(device, camera),
        "o": {"name": "plateid", "sw": __version__},
        "availability": [{"topic": device.topic("status")}],
        "availability_mode": "all",
        "qos": 1,
        "cmps": {key: {"p": platform} for key, platform in removed.items()}
        | {unique_id: _complete(name, unique_id, part) for unique_id, part in parts.items()},
    }
    return json.dumps(payload, separators=(",", ":"))


def _device_info(device: MqttDevice, camera: str) -> dict[str, Any]:
    """Says what Home Assistant shows of a device. A camera is a device behind plateid."""
    title = re.sub("[-_]+", " ", camera or device.device).strip() or device.device
    info = {
        "ids": [device_id(device, camera)],
        "name": title[0].upper() + title[1:],
        "mf": "plateid",
        "mdl": "Camera" if camera else "Licence-plate reader",
        "sw": __version__,
    }
    info |= {"via_device": device_id(device)} if camera else {}
    return info | ({"cu": device.url} if device.url else {})


def _of_camera(device: MqttDevice, camera: str) -> dict[str, Component]:
    """Events stay available while a camera is offline: its last event may come later."""
    event, last, status = (device.topic(camera, name) for name in ("event", "last", "status"))
    return {
        "event": _part(
            "event",
            "Plate",
            event,
            event_types=["plate_seen", "plate_left"],
            value_template=EVENT_TEMPLATE,
            icon="mdi:car",
        ),
        "last": _part(
            "sensor",
            "Last plate",
            last,
            value_template="{{ value_json.plate }}",
            json_attributes_topic=last,
            json_attributes_template=EVENT_TEMPLATE,
            force_update=True,  # the same vehicle twice is two changes
            icon="mdi:card-text-outline",
        ),
        "snapshot": {
            "p": "image",
            "name": "Snapshot",
            "image_topic": device.topic(camera, "snapshot"),
            "content_type": "image/jpeg",
        },
        "online": _diagnostic(
            "Camera",
            status,
            device_class="connectivity",
            payload_on="online",
            payload_off="offline",
        ),
        "reads": _measurement(
            device,
            "Reads per minute",
            f"cameras['{camera}'].reads_per_minute",
            unit_of_measurement="1/min",
            availability=[{"topic": device.topic("status")}, {"topic": status}],
            icon="mdi:counter",
        ),
    }


def _of_device(device: MqttDevice) -> dict[str, Component]:
    inside, health, disk = map(device.topic, ("occupancy", "health", "disk"))
    counts = {"inside": "Vehicles inside"} if device.occupancy else {}
    counts |= {"free": "Free places"} if device.capacity else {}
    look = {"state_class": "measurement", "icon": "mdi:parking"}
    newest = json.dumps(device.newest_bundle) if device.newest_bundle else "value_json.bundle"
    clock = "{{ {true: 'OFF', false: 'ON'}.get(value_json.clock_synced) }}"
    return {
        key: _part("sensor", name, inside, value_template=f"{{{{ value_json.{key} }}}}", **look)
        for key, name in counts.items()
    } | {
        "outbox": _measurement(
            device,
            "Outbox",
            "outbox.events",
            unit_of_measurement="events",
            json_attributes_topic=health,
            json_attributes_template="{{ value_json.outbox | tojson }}",
            icon="mdi:tray-full",
        ),
        "clock": _diagnostic("Clock", health, device_class="problem", value_template=clock),
        "store": _diagnostic(
            "Disk", disk, device_class="problem", payload_on="failed", payload_off="ok"
        ),
        "disk": _measurement(
            device,
            "Disk free",
            "disk_free_mb and (value_json.disk_free_mb / 1000) | round(1)",
            device_class="data_size",
            unit_of_measurement="GB",
        ),
        "temperature": _measurement(
            device,
            "Temperature",
            "temperature_c",
            device_class="temperature",
            unit_of_measurement="°C",
        ),
        "bundle": _part(
            "update",
            "Model bundle",
            health,
            value_template=f"{{{{ {{'installed_version': value_json.bundle, "
            f"'latest_version': {newest}}} | tojson }}}}",
            entity_category="diagnostic",
            icon="mdi:brain",
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


def _complete(device_name: str, unique_id: str, part: Component) -> Component:
    """Returns an entity with its ids, such as `sensor.gate_drive_last_plate`."""
    if "name" not in part:
        return part
    name = re.sub(r"[^a-z0-9]+", "_", f"{device_name} {part['name']}".lower()).strip("_")
    return part | {"unique_id": unique_id, "default_entity_id": f"{part['p']}.{name}"}
