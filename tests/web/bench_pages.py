"""Measures the first paint of each page with a million events: python -m tests.web.bench_pages."""

# ruff: noqa: T201 - it prints what it measured
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from selenium.webdriver import Chrome

from plateid.demo import DEMO_VIDEO
from plateid.store.event_store import EventStore
from plateid.store.history import History
from plateid.store.search import find
from plateid.store.search_query import Query
from tests.store import bench_search
from tests.support.broker import until
from tests.web.conftest import BRIGHT_DAY, LIST, Device, made_chrome, make_scenes, write_config

TRIES = 7
FIRST_PAINT = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


def made_store(folder: Path) -> None:
    """Fills a store, unless the folder has one."""
    file = folder / "plateid.sqlite3"
    if not file.exists():
        number = random.Random(2)
        plates = sorted({bench_search.plate(number) for _ in range(bench_search.VEHICLES)})
        bench_search.filled(file, plates)


@contextmanager
def served(folder: Path) -> Iterator[Device]:
    config = write_config(folder)
    (folder / "plates.csv").write_text(LIST)
    with closing(EventStore(config.store.path)) as store:
        device = Device(folder, config, store)
        device.serve(make_scenes(DEMO_VIDEO, [BRIGHT_DAY])[0])
        until(device.is_served, 10)
        yield device
        device.server.stop()


def first_paint_ms(browser: Chrome, address: str) -> float:
    browser.get("about:blank")
    browser.get(address)
    until(lambda: browser.execute_script(FIRST_PAINT), 20)
    return float(browser.execute_script(FIRST_PAINT))


def main() -> None:
    folder = Path(sys.argv[1] if sys.argv[1:] else tempfile.mkdtemp())
    made_store(folder)
    newest, *_ = find(History(folder / "plateid.sqlite3"), Query()).events
    part, event = newest["plate"][1:5], f"/events/{newest['id']}"
    pages = ["/", "/events", f"/events?q={part}", "/events?q=B*&listed=deny", event]
    pages += ["/lists", "/review", "/report", "/start", "/cameras/drive"]
    with made_chrome() as browser, served(folder) as device:
        for page in pages:
            times = [first_paint_ms(browser, device.address + page) for _ in range(TRIES)]
            print(f"{page:60} {statistics.median(times):6.0f} ms, best {min(times):.0f} ms")


if __name__ == "__main__":
    main()
