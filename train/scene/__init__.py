"""Renders the street clip that ships with plateid: cars, plates, day and night, all drawn here.

Nothing is fetched and no photo is used. The letters of the plates come from the Debian package
`fonts-roadgeek`.
"""

from train.scene.clip import render_clip
from train.scene.render import render_frame

__all__ = ["render_clip", "render_frame"]
