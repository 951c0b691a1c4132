"""The settings of one camera's pipeline."""

from dataclasses import dataclass, field

from plateid.config.cameras import EventsConfig
from plateid.core.formats import Formats, shipped_formats
from plateid.core.view import View
from plateid.pipeline.tracking import HIGH_SCORE


@dataclass(frozen=True)
class PipelineSettings:
    """What one camera's pipeline is configured with.

    Attributes:
        rules: When a pass is published.
        formats: The expected plate syntax.
        view: Region of interest, masks and direction.
        high_score: Minimum detection score (0-1) that starts a track.
    """

    rules: EventsConfig = field(default_factory=EventsConfig)
    formats: Formats = field(default_factory=shipped_formats)
    view: View = field(default_factory=View)
    high_score: float = HIGH_SCORE
