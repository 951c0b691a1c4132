"""Runs Home Assistant's core with automations and MQTT: python engine.py FOLDER.

Reads a line of JSON with `automations`, `broker_port` (0: no MQTT) and `http_port`; then a
line for each request, a list of a method's name and its arguments. Writes a line of JSON with the
answer of each. Actions of the automations are not carried out, but added to FOLDER/calls.
"""

import asyncio
import json
import logging
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

from homeassistant import auth, bootstrap, config_entries, core, loader
from homeassistant.helpers import device_registry, entity_registry, issue_registry
from homeassistant.setup import async_setup_component

ACTIONS = (("gate", "open"), ("notify", "phone"), ("calendar", "create_event"))
PLATFORMS = ("binary_sensor", "event", "image", "sensor", "update")


class Engine:
    """Home Assistant with automations, and actions that note their calls."""

    def __init__(self, folder: str) -> None:
        self._file = Path(folder) / "calls"
        self._calls: list[tuple[str, dict[str, Any]]] = []
        self._events: list[dict[str, Any]] = []
        self._hass = core.HomeAssistant(folder)
        self._hass.config.skip_pip = True
        self._hass.config_entries = config_entries.ConfigEntries(self._hass, {})
        loader.async_setup(self._hass)

    async def start(self, automations: list[Any], broker_port: int, http_port: int) -> None:
        hass = self._hass
        await bootstrap.async_load_base_functionality(hass)
        for domain, action in ACTIONS:
            hass.services.async_register(domain, action, self._note)
        only = core.SupportsResponse.ONLY
        hass.services.async_register(
            "calendar", "get_events", self._get_events, supports_response=only
        )
        http = {"server_host": ["127.0.0.1"], "server_port": http_port}
        if broker_port:
            hass.auth = await auth.auth_manager_from_config(hass, [], [])
            assert await async_setup_component(hass, "http", {"http": http})
            # As in a home with other devices: Home Assistant warns of itself if MQTT loads them.
            for domain in PLATFORMS:
                assert await async_setup_component(hass, domain, {})
            mqtt = await loader.async_get_integration(hass, "mqtt")
            await mqtt.async_get_platforms(PLATFORMS)
            await self._add_mqtt(broker_port)
        assert await async_setup_component(hass, "automation", {"automation": automations})
        await hass.async_start()

    async def set(self, entity: str, state: str, attributes: dict[str, Any]) -> list[Any]:
        """Sets a state; returns the actions that it caused."""
        self._calls.clear()
        self._hass.states.async_set(entity, state, attributes)
        await self._hass.async_block_till_done()
        return self._calls

    async def remove(self, entity: str) -> list[Any]:
        """Removes an entity; returns the actions that this caused."""
        self._calls.clear()
        self._hass.states.async_remove(entity)
        await self._hass.async_block_till_done()
        return self._calls

    async def states(self) -> dict[str, Any]:
        return {each.entity_id: each.as_dict() for each in self._hass.states.async_all()}

    async def devices(self) -> list[Any]:
        return [each.dict_repr for each in device_registry.async_get(self._hass).devices.values()]

    async def entities(self) -> list[Any]:
        return [each.extended_dict for each in self._registry.entities.values()]

    async def rename(self, entity: str, name: str) -> None:
        self._registry.async_update_entity(entity, name=name)

    async def issues(self) -> list[str]:
        """The repairs that Home Assistant asks its user for."""
        return [str(issue) for issue in issue_registry.async_get(self._hass).issues.values()]

    async def stop(self) -> None:
        await self._hass.async_stop(force=True)

    @property
    def _registry(self) -> entity_registry.EntityRegistry:
        return entity_registry.async_get(self._hass)

    async def _add_mqtt(self, port: int) -> None:
        entries = self._hass.config_entries
        if entries.async_entries("mqtt"):
            assert await async_setup_component(self._hass, "mqtt", {})
            return
        entry = config_entries.ConfigEntry(
            domain="mqtt",
            title="MQTT",
            data={"broker": "127.0.0.1", "port": port},
            options={},
            source="user",
            version=2,
            minor_version=1,
            unique_id=None,
            discovery_keys=MappingProxyType({}),
            subentries_data=None,
        )
        await entries.async_add(entry)

    @core.callback
    def _note(self, call: core.ServiceCall) -> None:
        self._calls.append((f"{call.domain}.{call.service}", dict(call.data)))
        with self._file.open("a") as file:
            file.write(json.dumps(dict(call.data)) + "\n")
        if call.service == "create_event":
            self._events.append(dict(call.data))

    @core.callback
    def _get_events(self, call: core.ServiceCall) -> dict[str, Any]:
        return {entity: {"events": self._events} for entity in call.data["entity_id"]}


async def run(folder: str) -> None:
    """Answers requests until the input ends."""
    engine = Engine(folder)
    await engine.start(**json.loads(sys.stdin.readline()))
    read = asyncio.get_running_loop().run_in_executor
    while line := await read(None, sys.stdin.readline):
        method, *arguments = json.loads(line)
        answer = await getattr(engine, method)(*arguments)
        sys.stdout.write(json.dumps(answer, default=str) + "\n")
        sys.stdout.flush()
    await engine.stop()


if __name__ == "__main__":
    logging.getLogger("aiohttp_fast_zlib").setLevel(logging.ERROR)  # wants optional packages
    asyncio.run(run(sys.argv[1]))
