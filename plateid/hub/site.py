"""The site of a hub: the pages of a device over the events of a fleet, narrowed to some sites."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from starlette.applications import Starlette
from starlette.requests import Request

from plateid.config.hub import HubConfig
from plateid.config.outputs import ListsConfig
from plateid.config.root import Config
from plateid.config.storage import StoreConfig
from plateid.core.records import PlateEvent
from plateid.errors import SourceError
from plateid.hub.enrolment import Authority, digest_of
from plateid.hub.history import FleetHistory
from plateid.hub.ingest import FloodLimits
from plateid.hub.pages import PAGES, ROUTES
from plateid.hub.rollout_pages import ROLLOUT_ROUTES
from plateid.web.access import Access, LoginSession
from plateid.web.credentials import credentials_file, require_password
from plateid.web.live import Live
from plateid.web.routes import application
from plateid.web.site import Hooks, Site

LISTS = "lists.csv"
"""Name of the master list in the hub's folder."""


def _no_camera(*_: Any) -> NoReturn:
    raise SourceError("camera or broker", "is that of a device")


HOOKS = Hooks(lambda: None, lambda: None, _no_camera, _no_camera, list, _no_camera)


class FleetAccess(Access):
    """The users of a hub, and the tokens of enrolled devices."""

    lives: "Lives"

    def token_session(self, token: str) -> LoginSession | None:
        """Returns the session of a token of the JSON API, or of a device."""
        device = self.lives.tokens.get(digest_of(token))
        if device is None:
            return super().token_session(token)
        return LoginSession("viewer", device, frozenset(("device",)), csrf="", password_hash=token)


@dataclass
class Lives:
    """The newest events of all sites, and of each set of sites that a viewer has asked for.

    Also what requests need to know of all devices, a second after a change at most.
    """

    config: Config
    of_all: Live
    sites: Mapping[str, str] = field(default_factory=dict)  # of each device
    tokens: Mapping[str, str] = field(default_factory=dict)  # devices by SHA-256 of their token
    names: tuple[str, ...] = ()  # sites, groups and devices
    _of_sites: dict[frozenset[str], Live] = field(default_factory=dict)

    def of(self, sites: frozenset[str]) -> Live:
        """Returns the newest events of some sites; of all, if there are none."""
        if not sites:
            return self.of_all
        live = self._of_sites.get(sites) or Live(self.config.web, ())
        if not sites.isdisjoint(self.sites.values()):  # otherwise no device is there
            live = self._of_sites.setdefault(sites, live)
        live.closing, live.streams = self.of_all.closing, self.of_all.streams
        return live

    def publish(self, event: PlateEvent) -> None:
        """Shows an event to the viewers of its site."""
        self.of_all.publish(event)
        for sites, live in list(self._of_sites.items()):
            if self.sites.get(event.device) in sites:
                live.publish(event)


@dataclass(frozen=True)
class FleetSite:
    """Makes the site of a hub; `config` is that of its web UI, as for a device."""

    hub: HubConfig
    authority: Authority
    history: FleetHistory
    config: Config
    lives: Lives
    limits: FloodLimits

    @classmethod
    def opened(cls, hub: HubConfig) -> "FleetSite":
        """Makes what the pages need; raises StoreError."""
        config = web_config(hub)
        authority, history = Authority.opened(hub.folder), FleetHistory(hub.database)
        lives, limits = Lives(config, Live(config.web, ())), FloodLimits(hub.ingest.device_rate)
        return cls(hub, authority, history, config, lives, limits)

    def make(
        self,
        config: Config,
        live: Live,
        report: Callable[[], Mapping[str, Any]],
        *,
        code: str,
        **options: Any,
    ) -> tuple[Site, Starlette]:
        """Returns the site and its application, as `web.routes.make_site`."""
        access = FleetAccess(
            credentials_file(config.store.path, config.web),
            needs_password=config.web.needs_password,
        )
        access.code, access.lives = code, self.lives
        if not code:
            require_password(config.web, access.credentials)
        self.lives.of_all = live
        site = Site(config, live, access, self.history, report=report, **options)
        site.pages, site.view = PAGES, self.view
        app = application(site, [*ROLLOUT_ROUTES, *ROUTES])
        app.state.fleet = self
        return site, app

    def view(self, site: Site, request: Request) -> Site:
        """Returns the site with the events of the sites that a request may see, and asks for."""
        session = getattr(request.state, "session", None)
        own = frozenset(session.sites) if session else frozenset()
        asked, group = (request.query_params.get(name, "") for name in ("site", "group"))
        shown = frozenset((asked,)) if asked and (not own or asked in own) else own
        at = self.lives.sites.get
        known = tuple(name for name in sorted(set(self.lives.sites.values())) if name)
        lists = site.config.lists.model_copy(update={"file": None}) if own else site.config.lists
        return replace(
            site,
            config=site.config.model_copy(update={"lists": lists}),
            history=self.history.of_sites(shown, group),
            live=self.lives.of(shown),
            names=tuple(n for n in self.lives.names if not own or own & {n, at(n)}),
            places=tuple(name for name in known if not own or name in own),
        )


def web_config(hub: HubConfig) -> Config:
    """Returns the configuration of a device whose web UI is that of the hub."""
    web = hub.web.model_copy(update={"enabled": True})
    lists = ListsConfig(file=hub.folder / LISTS)
    return Config(device="hub", web=web, store=StoreConfig(path=hub.folder / "hub"), lists=lists)
