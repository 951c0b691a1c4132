"""Fine-tunes a detector: pictures with plates in, weights and a record out."""
