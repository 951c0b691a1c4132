"""The training toolchain; `python -m train --help`. Never imported by plateid."""
