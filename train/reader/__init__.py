"""Fine-tunes a reader on plates cut out and on plates that are rendered."""
