"""Figures of images, prompts and masks, images to click on, and figures with a slider."""

from minisam.show.clicking import click
from minisam.show.draw import show_box, show_image, show_mask, show_points
from minisam.show.figure_file import save_figure
from minisam.show.frames import frames
from minisam.show.prompt_figure import PromptResult, best_masks_figure, prompt_figure

__all__ = [
    "PromptResult",
    "best_masks_figure",
    "click",
    "frames",
    "prompt_figure",
    "save_figure",
    "show_box",
    "show_image",
    "show_mask",
    "show_points",
]
