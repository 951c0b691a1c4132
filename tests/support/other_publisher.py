"""Runs a publisher until it is killed: python -m tests.support.other_publisher STORE PORT."""

import sys
import threading
from pathlib import Path

from plateid.config.outputs import MqttConfig
from plateid.store.event_store import EventStore
from tests.support.samples import make_publisher

if __name__ == "__main__":
    config = MqttConfig(port=int(sys.argv[2]))
    make_publisher(config, EventStore(Path(sys.argv[1])), cameras=[]).start()
    threading.Event().wait()
