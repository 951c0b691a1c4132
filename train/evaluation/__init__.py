"""How good a bundle is, through the code that runs on the device; as a table and as a page."""
