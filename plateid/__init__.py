"""plateid reads licence plates and publishes one MQTT event per vehicle.

from plateid import ALPR

for plate in ALPR().read("car.jpg"):
    print(plate.text, plate.confidence, plate.box)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plateid.alpr import ALPR
    from plateid.core.records import Candidate, Plate, PlateEvent, Region
    from plateid.errors import PlateidError

__version__ = "0.1.0"
__all__ = ["ALPR", "Candidate", "Plate", "PlateEvent", "PlateidError", "Region", "__version__"]

_MODULES = {
    "ALPR": "plateid.alpr",
    "Candidate": "plateid.core.records",
    "Plate": "plateid.core.records",
    "PlateEvent": "plateid.core.records",
    "PlateidError": "plateid.errors",
    "Region": "plateid.core.records",
}


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use: the networks' libraries take half a second."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
