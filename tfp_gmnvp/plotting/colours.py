"""Colours of components, and blends by responsibility."""

import matplotlib
import numpy as np

__all__ = ["DATA_COLOUR", "INK", "blend_colours", "component_colours"]

DATA_COLOUR = "0.72"
INK = "0.15"

# Okabe and Ito's palette for colour-blind readers; strongest on white paper first.
_OKABE_ITO = (
    np.array(
        [
            [0, 114, 178],  # blue
            [213, 94, 0],  # vermillion
            [0, 158, 115],  # bluish green
            [230, 159, 0],  # orange
            [86, 180, 233],  # sky blue
            [204, 121, 167],  # reddish purple
            [240, 228, 66],  # yellow
            [0, 0, 0],  # black
        ]
    )
    / 255.0
)


def component_colours(num_components: int) -> np.ndarray:
    """Returns colours that colour-blind readers can distinguish.

    Up to eight are those of Okabe and Ito (2008, https://jfly.uni-koeln.de/color/); more are spread
    evenly over viridis, whose lightness alone orders them.

    Args:
      num_components: number K of components.

    Returns:
      float64 array `[K, 3]` of RGB in [0, 1].

    >>> (component_colours(2) * 255).round().astype(int).tolist()
    [[0, 114, 178], [213, 94, 0]]
    """
    if num_components < 1:
        raise ValueError(f"num_components must be at least 1, got {num_components}.")
    if num_components <= len(_OKABE_ITO):
        return _OKABE_ITO[:num_components].copy()
    return matplotlib.colormaps["viridis"](np.linspace(0.0, 0.95, num_components))[:, :3]


def blend_colours(responsibilities: np.ndarray) -> np.ndarray:
    """Averages the components' colours with the responsibilities as weights.

        colour_n = sum_k r_nk colour_k

    Args:
      responsibilities: array `[N, K]`, rows that sum to one.

    Returns:
      float64 array `[N, 3]` of RGB in [0, 1].

    >>> (blend_colours(np.array([[0.5, 0.5]])) * 255).tolist()
    [[106.5, 104.0, 89.0]]
    """
    colours = component_colours(responsibilities.shape[-1])
    return np.clip(responsibilities @ colours, 0.0, 1.0)
