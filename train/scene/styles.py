"""The plate styles of the clip."""

from train.scene.plate import PlateStyle

BLUE = (186, 98, 40)
BLACK = (24, 22, 22)
WHITE = (238, 240, 240)


def _european(code: str) -> PlateStyle:
    return PlateStyle(
        size=(0.52, 0.11),
        ground=WHITE,
        ink=BLACK,
        band="left",
        band_size=0.036,
        band_colour=BLUE,
        band_ink=WHITE,
        band_text=code,
        letters=0.076,
        margin=0.012,
        stretch=1.0,
        font="RG2014C.ttf",
    )


ROMANIA = _european("RO")
GERMANY = _european("D")
FRANCE = _european("F")
BRITAIN = PlateStyle(
    size=(0.52, 0.111),
    ground=(40, 196, 250),
    ink=BLACK,
    band="none",
    band_size=0.0,
    band_colour=BLACK,
    band_ink=BLACK,
    band_text="",
    letters=0.079,
    margin=0.032,
    stretch=0.95,
    font="RG2014C.ttf",
)
CALIFORNIA = PlateStyle(
    size=(0.305, 0.152),
    ground=(244, 242, 240),
    ink=(110, 40, 25),
    band="top",
    band_size=0.034,
    band_colour=(244, 242, 240),
    band_ink=(50, 40, 190),
    band_text="CALIFORNIA",
    letters=0.062,
    margin=0.012,
    stretch=0.9,
    font="RG2014C.ttf",
)
MERCOSUR = PlateStyle(
    size=(0.40, 0.13),
    ground=(240, 242, 242),
    ink=BLACK,
    band="top",
    band_size=0.030,
    band_colour=BLUE,
    band_ink=WHITE,
    band_text="BRASIL",
    letters=0.063,
    margin=0.022,
    stretch=1.03,
    font="RG2014C.ttf",
)
