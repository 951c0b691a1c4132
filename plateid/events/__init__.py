"""Events: kept on disk, delivered over MQTT."""
