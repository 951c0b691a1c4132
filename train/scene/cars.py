"""The types of cars."""

from train.scene.body import Body


def raised(body: Body, tall: float, wide: float) -> Body:
    """The same car, higher and wider."""
    stations = tuple((s, h * tall, half * wide, corner) for s, h, half, corner in body.stations)
    low, high = body.glass
    return Body(
        body.end,
        stations,
        body.length * 1.06,
        body.belt * tall,
        body.plate * (1 + (tall - 1) * 0.6),
        (low * tall, high * tall),
        body.lamps * tall,
        body.cabin,
        body.wheels,
        body.radius * tall,
    )


HATCH_FRONT = Body(
    end="front",
    stations=(
        (0.10, 0.19, 0.80, 0.34), (0.02, 0.32, 0.86, 0.38), (0.00, 0.50, 0.88, 0.40),
        (0.04, 0.68, 0.87, 0.42), (0.14, 0.79, 0.84, 0.42), (0.55, 0.90, 0.82, 0.16),
        (1.10, 0.98, 0.80, 0.06), (1.42, 1.18, 0.73, 0.09), (1.76, 1.37, 0.65, 0.12),
        (2.05, 1.45, 0.62, 0.05), (2.70, 1.49, 0.62, 0.0), (3.30, 1.46, 0.61, 0.0),
        (3.80, 1.36, 0.60, 0.0), (4.10, 0.95, 0.80, 0.0),
    ),
    length=4.1, belt=0.94, plate=0.43, glass=(0.99, 1.38), lamps=0.69, cabin=(1.30, 3.75),
    wheels=(0.80, 3.35),
)  # fmt: skip
SUV_FRONT = raised(HATCH_FRONT, 1.2, 1.06)
SEDAN_FRONT = raised(HATCH_FRONT, 0.97, 1.02)
VAN_FRONT = Body(
    end="front",
    stations=(
        (0.08, 0.22, 0.86, 0.24), (0.02, 0.36, 0.92, 0.28), (0.00, 0.54, 0.93, 0.30),
        (0.03, 0.78, 0.92, 0.32), (0.12, 0.94, 0.90, 0.32), (0.40, 1.06, 0.88, 0.16),
        (0.72, 1.16, 0.86, 0.08), (1.05, 1.45, 0.82, 0.10), (1.36, 1.72, 0.77, 0.12),
        (1.60, 1.84, 0.74, 0.06), (2.40, 1.90, 0.74, 0.0), (3.20, 1.90, 0.74, 0.0),
        (4.00, 1.90, 0.74, 0.0), (4.70, 1.88, 0.74, 0.0),
    ),
    length=4.7, belt=1.12, plate=0.46, glass=(1.18, 1.73), lamps=0.82, cabin=(0.95, 4.50),
    wheels=(0.82, 3.75),
    radius=0.33,
)  # fmt: skip
HATCH_REAR = Body(
    end="rear",
    stations=(
        (0.10, 0.24, 0.78, 0.24), (0.01, 0.34, 0.86, 0.28), (0.00, 0.54, 0.88, 0.30),
        (0.06, 0.59, 0.87, 0.26), (0.08, 0.78, 0.86, 0.25), (0.14, 0.94, 0.83, 0.22),
        (0.30, 1.16, 0.75, 0.18), (0.46, 1.36, 0.67, 0.15), (0.58, 1.43, 0.64, 0.10),
        (1.20, 1.49, 0.63, 0.0), (1.90, 1.48, 0.63, 0.0), (2.50, 1.40, 0.62, 0.0),
        (3.10, 1.00, 0.78, 0.0), (4.10, 0.80, 0.84, 0.0),
    ),
    length=4.1, belt=0.94, plate=0.72, glass=(0.96, 1.35), lamps=0.80, cabin=(0.50, 2.95),
    wheels=(0.75, 3.30),
)  # fmt: skip
SUV_REAR = raised(HATCH_REAR, 1.17, 1.06)
