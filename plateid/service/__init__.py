"""What keeps the process honest: threads that are watched, the clock, logs."""
