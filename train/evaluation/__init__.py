"""Evaluates a bundle with the code that runs on the device, and writes a report."""
