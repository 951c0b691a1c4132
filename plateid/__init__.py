"""plateid reads licence plates on a small box and publishes one event per vehicle over MQTT."""

__version__ = "0.1.0"
