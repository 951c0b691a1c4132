"""`plateid.toml`: one file, every key described, unknown keys refused."""
