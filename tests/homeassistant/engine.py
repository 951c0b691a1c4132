"""Runs Home Assistant's core with automations: python engine.py FOLDER.

Reads a line of JSON, the automations; then a line for each request, a list of a method's name and
its arguments. Writes a line of JSON with the answer of each. Actions of the automations are not
carried out, but returned.
"""

import asyncio
import json
import sys
from typing import Any

from homeassistant import bootstrap, config_entries, core, loader
from homeassistant.setup import async_setup_component

ACTIONS = (("gate", "open"), ("notify", "phone"), ("calendar", "create_event"))


class Engine:
    """Home Assistant with automations, and actions that note their calls."""

    def __init__(self, folder: str) -> None:
        self._calls: list[tuple[str, dict[str, Any]]] = []
        self._events: list[dict[str, Any]] = []
        self._hass = core.HomeAssistant(folder)
        self._hass.config.skip_pip = True
        self._hass.config_entries = config_entries.ConfigEntries(self._hass, {})
        loader.async_setup(self._hass)

    async def start(self, automations: list[Any]) -> None:
        hass = self._hass
        await bootstrap.async_load_base_functionality(hass)
        for domain, action in ACTIONS:
            hass.services.async_register(domain, action, self._note)
        only = core.SupportsResponse.ONLY
        hass.services.async_register(
            "calendar", "get_events", self._get_events, supports_response=only
        )
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

    async def stop(self) -> None:
        await self._hass.async_stop(force=True)

    @core.callback
    def _note(self, call: core.ServiceCall) -> None:
        self._calls.append((f"{call.domain}.{call.service}", dict(call.data)))
        if call.service == "create_event":
            self._events.append(dict(call.data))

    @core.callback
    def _get_events(self, call: core.ServiceCall) -> dict[str, Any]:
        return {entity: {"events": self._events} for entity in call.data["entity_id"]}


async def run(folder: str) -> None:
    """Answers requests until the input ends."""
    engine = Engine(folder)
    await engine.start(json.loads(sys.stdin.readline()))
    read = asyncio.get_running_loop().run_in_executor
    while line := await read(None, sys.stdin.readline):
        method, *arguments = json.loads(line)
        answer = await getattr(engine, method)(*arguments)
        sys.stdout.write(json.dumps(answer, default=str) + "\n")
        sys.stdout.flush()
    await engine.stop()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
