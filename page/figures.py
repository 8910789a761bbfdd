"""Pictures with a caption each, in rows that fit the screen."""

from typing import Any

from gradio.data_classes import FileData, GradioModel

from page.widget import Widget

TEMPLATE = """
<div class="figures">
{{#each value.figures}}
<figure>
  <img src="{{this.picture.url}}" alt="{{this.caption}}" loading="lazy">
  <figcaption>{{this.caption}}</figcaption>
</figure>
{{/each}}
</div>"""


class Figure(GradioModel):
    """A picture and what there is to see."""

    picture: FileData
    caption: str


class Shown(GradioModel):
    """What the browser is sent."""

    figures: list[Figure]


class Figures(Widget):
    """A widget with the value [(path of a picture, caption)]."""

    data_model = Shown

    def __init__(self, value: list[tuple[str, str]], **given: Any) -> None:
        super().__init__(value, TEMPLATE, **given)

    def postprocess(self, value: list[tuple[str, str]]) -> Shown:
        """The pictures as the browser is sent them."""
        figures = [Figure(picture=FileData(path=path), caption=caption) for path, caption in value]
        return Shown(figures=figures)
