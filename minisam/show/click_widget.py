"""The page of `minisam click` as a widget: Jupyter, Colab, VS Code and marimo show it by anywidget."""

from __future__ import annotations

import base64
from importlib.resources import files
from typing import Any

import anywidget
import traitlets

from minisam.errors import MinisamError
from minisam.masks.rle import encode_rle
from minisam.show.click_value import ClickedPhoto, ClickValue
from minisam.web.prompt import read_prompt

PAGE = files("minisam.web") / "page"


def module() -> str:
    """click.js and the widget's model as one module."""
    front_end = (PAGE / "click.js").read_text(encoding="utf-8")
    model = (PAGE / "widget_model.js").read_text(encoding="utf-8")
    return front_end + model.replace('import { mountClick } from "./click.js";\n', "")


class ClickWidget(anywidget.AnyWidget):
    """`value` has the prompt and the masks; observe `prompt` to be called after each change on the page."""

    _esm = module()
    _css = (PAGE / "click.css").read_text(encoding="utf-8")
    photo = traitlets.Dict().tag(sync=True)
    prompt = traitlets.Dict().tag(sync=True)

    def __init__(self, clicked: ClickedPhoto, prompt: dict[str, Any]) -> None:
        self.clicked = clicked
        data = base64.b64encode(clicked.photo.as_shown()).decode()
        photo = {**clicked.photo.describe(), "url": f"data:image/jpeg;base64,{data}"}
        super().__init__(photo=photo, prompt=prompt)
        self.on_msg(self._answer)

    @property
    def value(self) -> ClickValue:
        return self.clicked.value(self.prompt)

    def _answer(self, widget: object, content: dict[str, Any], buffers: object) -> None:
        """Masks for a prompt of the page."""
        try:
            predicted = self.clicked.session.decode(
                self.clicked.photo, read_prompt(content), content.get("best") is True
            )
            assert predicted is not None
            masks, iou = predicted
            answer = {"masks": [encode_rle(mask) for mask in masks], "iou": [float(value) for value in iou]}
        except MinisamError as error:
            answer = {"error": str(error)}
        self.send({"id": content.get("id"), **answer})

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The widget, and a figure for viewers without a kernel."""
        bundle = super()._repr_mimebundle_(**options)
        if bundle is not None:
            figure = self.clicked.figure(self.value)
            bundle[0]["image/png"] = base64.b64encode(figure).decode()
        return bundle
