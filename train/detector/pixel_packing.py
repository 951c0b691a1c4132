"""Packs a convolution for groups of pixels (space-to-depth), and unpacks it again.

ONNX Runtime's integer kernels are slow for three channels. So four pixels side by side become one
position of 12 channels, and the convolution gives two outputs at each. The sums are the same.
"""

import numpy as np
from numpy.typing import NDArray

PIXELS = 4
"""Number of pixels that are packed into one position."""
TAPS = ((0, 0, 0, 3), (0, 1, 1, 0), (0, 2, 1, 1), (1, 0, 1, 1), (1, 1, 1, 2), (1, 2, 1, 3))
"""Output, kernel column, position (0: the one to the left) and pixel of each product."""
Kernel = NDArray[np.float32]


def pack(kernel: Kernel) -> Kernel:
    """Packs a kernel (O, C, 3, 3) of stride 2 and padding 1; returns shape (2 O, 4 C, 3, 2)."""
    out, colours, rows, _ = kernel.shape
    packed = np.zeros((2, out, PIXELS, colours, rows, 2), kernel.dtype)
    for output, column, position, pixel in TAPS:
        packed[output, :, pixel, :, :, position] = kernel[..., column]
    return packed.reshape(2 * out, PIXELS * colours, rows, 2)


def unpack(packed: Kernel) -> Kernel:
    """Returns the kernel that `pack` packed."""
    out, channels, rows, _ = packed.shape
    first = packed[: out // 2].reshape(out // 2, PIXELS, channels // PIXELS, rows, 2)
    return np.stack([first[:, pixel, :, :, side] for _, _, side, pixel in TAPS[:3]], axis=-1)
