"""Renders number plates as cameras see them, from layouts of countries in TOML files."""
