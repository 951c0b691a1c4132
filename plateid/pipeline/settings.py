"""The settings of one camera's pipeline."""

from dataclasses import dataclass, field

from plateid.config.cameras import EventsConfig
from plateid.core.formats import Formats, shipped_formats
from plateid.core.view import View
from plateid.pipeline.tracking import HIGH_SCORE


@dataclass(frozen=True)
class PipelineSettings:
    """One camera's settings: `high_score` starts a track (0-1), `keeps_crops` keeps far crops."""

    camera: str
    rules: EventsConfig = field(default_factory=EventsConfig)
    formats: Formats = field(default_factory=shipped_formats)
    view: View = field(default_factory=View)
    high_score: float = HIGH_SCORE
    keeps_crops: bool = False
