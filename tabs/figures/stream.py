"""The first picture: one row's scores stream through the chip in tiles, and a running maximum measures all that was seen.

The mathematics is `online_softmax`: this figure shows its state after each whole tile, never within one.
"""

from __future__ import annotations

DEFAULTS = {
    "scores": [0.4, 1.1, -0.6, 0.8, 1.9, 0.2, 1.4, -1.0, 0.9, 1.6, 0.1, 3.2, 1.2, 2.4, -0.3, 0.7, 2.0, 1.0, 3.7, 0.5],
    "tiles": 0,
}
SIZE = 4  # scores a tile
