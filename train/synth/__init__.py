"""Pictures of plates that nobody had to photograph: layouts as data, and the camera after them."""
