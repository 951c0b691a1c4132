"""plateid.commands."""
