"""What a bundle says of its networks: `bundle.toml`, the model card, and the origin of weights."""
