"""Fine-tunes the plate detector, and averages, narrows and restores its weights."""
