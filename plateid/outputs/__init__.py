"""Sends events to MQTT, Home Assistant, webhooks and log files."""
