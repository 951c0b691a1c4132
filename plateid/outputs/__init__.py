"""plateid.outputs."""
