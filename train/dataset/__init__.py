"""ImageLabels pictures: read from any common format, checked, and split without leakage."""
