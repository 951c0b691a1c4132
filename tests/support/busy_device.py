"""Stores events as fast as it can, then waits.

Call: `python -m tests.support.busy_device STORE PORT EVENTS`.
"""

import sys
import threading
from pathlib import Path

from plateid.config.outputs import MqttConfig
from plateid.store.backlog import Backlog
from plateid.store.event_store import EventStore
from tests.support.samples import event, make_publisher

if __name__ == "__main__":
    store = EventStore(Path(sys.argv[1]), service=True)
    publisher = make_publisher(MqttConfig(port=int(sys.argv[2])), store)
    backlog = Backlog(store)
    backlog.notify = publisher.notify
    publisher.start()
    for _ in range(int(sys.argv[3])):
        backlog.accept(event(store.next_seq()))
    threading.Event().wait()
