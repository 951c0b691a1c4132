"""From a camera's frames to the two events of each vehicle pass."""
