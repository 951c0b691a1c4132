"""Fault campaign: random faults of all kinds against the real service, and an oracle."""
