"""Figures of a flow: data, latents, samples and density, training, and reliability.

Without `ax`, functions draw in pyplot's current axes; without `figure`, in a new figure of pyplot,
so that `pyplot.show` and `pyplot.savefig` work. Outside of the main thread, where pyplot must not
be used, they draw in a new figure that pyplot does not manage.
"""

from tfp_gmnvp.plotting.calibration import plot_reliability
from tfp_gmnvp.plotting.colours import blend_colours, component_colours
from tfp_gmnvp.plotting.data import plot_responsibilities, plot_samples
from tfp_gmnvp.plotting.density import plot_density
from tfp_gmnvp.plotting.fit_page import plot_fit
from tfp_gmnvp.plotting.history import plot_history
from tfp_gmnvp.plotting.images import plot_component_images, plot_images
from tfp_gmnvp.plotting.latent import plot_latents, plot_warped_grid
from tfp_gmnvp.plotting.pairs import pair_plot
from tfp_gmnvp.plotting.selection import plot_selection
from tfp_gmnvp.plotting.summary import plot_flow

__all__ = [
    "blend_colours",
    "component_colours",
    "pair_plot",
    "plot_component_images",
    "plot_density",
    "plot_fit",
    "plot_flow",
    "plot_history",
    "plot_images",
    "plot_latents",
    "plot_reliability",
    "plot_responsibilities",
    "plot_samples",
    "plot_selection",
    "plot_warped_grid",
]
