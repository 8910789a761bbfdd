"""What the page's own widgets share: HTML filled with a value of a data model, without Gradio's frame."""

from typing import Any, ClassVar

import gradio as gr
from gradio.data_classes import GradioModel


class Widget(gr.HTML):
    """A subclass names its `data_model` and says in `postprocess` how a value becomes one."""

    data_model: ClassVar[type[GradioModel]]

    def __init__(self, value: Any, template: str, script: str | None = None, **given: Any) -> None:
        """`template`: Handlebars on `value`; `script`: JavaScript that gets `element`."""
        super().__init__(
            value,
            html_template=template,
            js_on_load=script,
            apply_default_css=False,
            container=False,
            **given,
        )

    def api_info(self) -> dict[str, Any]:
        """The value's JSON schema."""
        return self.data_model.model_json_schema()
