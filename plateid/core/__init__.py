"""Records and the mathematics of the pipeline; pure, no input or output."""
