"""The way of a plate: from a camera's frame to the two events of a vehicle's pass."""
