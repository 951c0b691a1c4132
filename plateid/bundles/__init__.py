"""plateid.commands.bundle_listing."""
