"""Keeps events, snapshots, labels and lists on disk."""
