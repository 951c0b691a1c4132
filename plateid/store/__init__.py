"""plateid.store."""
