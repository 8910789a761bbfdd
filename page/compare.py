"""The comparison of two pictures: a slider, 100 % pixels and any zoom, panning, a lens, keys, full screen.

`static/compare.js` and `static/compare.css` do the work in the browser; nothing comes from another server.
"""

from pathlib import Path
from typing import Any

from gradio.data_classes import FileData, GradioModel

from page.widget import Widget
from page.words import shown_later

STATIC = Path(__file__).parent / "static"
CSS = (STATIC / "compare.css").read_text(encoding="utf-8")
JS = (STATIC / "compare.js").read_text(encoding="utf-8")
BRUSH = (STATIC / "brush.js").read_text(encoding="utf-8")
WORDS = (  # of the template
    "Before and after", "Boundary between before and after", "Before", "Split", "After", "before", "after",
    "Zoom out (-)", "Zoom in (+)", "Fit (0)", "Lens (L)", "Full screen (F)",
    "100 %: a pixel of the result is a pixel of the screen (1)",
)  # fmt: skip
STEERED = "The photo to paint on: arrow keys move the brush, Space starts and ends a stroke"
HINT = "Paint over scratches, dust or small text: it is filled from around when you restore."
BRUSH_WORDS = (  # of the brush
    "Paint over damage", "Done painting", "Brush size", "Clear", "Undo (Ctrl+Z)",
    "Brush size ([ and ])", STEERED, HINT,
)  # fmt: skip
PAPER = f"""
    <canvas class="cmp-paper" tabindex="0" role="application" aria-label="{STEERED}"></canvas>
    <div class="cmp-ring" hidden></div>"""
# Lines of 24x24 icons.
ICONS = {
    "slide": "M9 6l-6 6 6 6M15 6l6 6-6 6",
    "farther": "M5 12h14",
    "closer": "M5 12h14M12 5v14",
    "fit": "M4 6h16v12H4zM8 10l-2 2 2 2M16 10l2 2-2 2",
    "lens": "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
    "full": "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
    "brush": "M20 4c-5 2-9 6-10 9l3 3c4-2 6-6 7-12zM9 14c-3 0-3 4-6 5 3 2 8 1 8-3",
    "undo": "M8 5L4 9l4 4M4 9h10a5 5 0 0 1 0 10h-3",
    "clear": "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
}


class Pictures(GradioModel):
    """What the browser is sent; the pixels of `after` are the ones that 100 % refers to."""

    before: FileData | None = None
    after: FileData | None = None


class Comparison(Widget):
    """A widget with the value (before, after): paths of two pictures, the first shown at the second's size.

    A single picture may be shown too, as (path, None). With `widest` there is a brush, of up to so many
    pixels of the photo, which paints on the photo that `page/brush.py` names; its event is `input`.
    """

    data_model = Pictures

    def __init__(
        self, value: tuple[str | None, str | None] | None = None, widest: int | None = None, **given: Any
    ) -> None:
        brush = "" if widest is None else _brush(widest)
        super().__init__(value, _template(brush), JS + BRUSH if brush else JS, **given)

    def postprocess(self, value: tuple[str | None, str | None] | None) -> Pictures:
        """The two files as the browser is sent them."""
        before, after = value or (None, None)
        return Pictures(before=_file(before), after=_file(after))


def _file(path: str | None) -> FileData | None:
    return None if path is None else FileData(path=str(path))


def _template(brush: str) -> str:
    sides = [_button("before", "Before"), _button("both", "Split"), _button("after", "After")]
    scales = [
        _button("farther", hint="Zoom out (-)", wide=True),
        '<span class="cmp-zoom" aria-live="off"></span>',
        _button("closer", hint="Zoom in (+)", wide=True),
        _button("fit", hint="Fit (0)"),
        _button("whole", "100 %", hint="100 %: a pixel of the result is a pixel of the screen (1)"),
        _button("lens", hint="Lens (L)"),
        _button("full", hint="Full screen (F)"),
    ]
    shown_later(*WORDS)
    return f"""
<div class="cmp empty" role="group" aria-label="Before and after">
  <div class="cmp-stage">
    <div class="cmp-layer cmp-before"><img alt="Before"><span class="cmp-tag">before</span></div>
    <div class="cmp-layer cmp-after"><img alt="After"><span class="cmp-tag">after</span></div>
    <div class="cmp-handle" role="slider" tabindex="0" aria-label="Boundary between before and after"
      aria-valuemin="0" aria-valuemax="100" aria-valuenow="50">{_icon("slide")}</div>
    {PAPER if brush else ""}
    <div class="cmp-lens" hidden>
      <div class="cmp-pane"><span class="cmp-tag">before</span></div>
      <div class="cmp-pane"><span class="cmp-tag">after</span></div>
    </div>
  </div>
  <div class="cmp-bar">
    <div class="cmp-group">{"".join(sides)}</div>
    <div class="cmp-group">{"".join(scales)}</div>
  </div>
  {brush}
</div>"""


def _brush(widest: int) -> str:
    """The row under the pictures, hidden until there is a photo."""
    shown_later(*BRUSH_WORDS)
    tools = [_button("undo", hint="Undo (Ctrl+Z)"), _button("clear", hint="Clear")]
    return f"""
  <div class="cmp-brush" hidden>
    <button type="button" data-do="brush" aria-pressed="false">{_icon("brush")}
      <span class="cmp-start">Paint over damage</span><span class="cmp-stop">Done painting</span></button>
    <label class="cmp-tool" title="Brush size ([ and ])"><span>Brush size</span>
      <input type="range" aria-label="Brush size" min="2" max="{widest}" value="{widest}">
      <output></output></label>
    <div class="cmp-group cmp-tool">{"".join(tools)}</div>
    <p class="cmp-tool">{HINT}</p>
  </div>"""


def _button(action: str, text: str = "", hint: str = "", wide: bool = False) -> str:
    """A button for one of the actions in compare.js; `wide`: only where the screen is."""
    name = f'title="{hint}" aria-label="{hint}"' if hint else f'title="{text}"'
    kind = ' class="cmp-wide"' if wide else ""
    return f'<button type="button" data-do="{action}" {name}{kind}>{text or _icon(action)}</button>'


def _icon(name: str) -> str:
    return (
        '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" '
        f'stroke-linejoin="round" aria-hidden="true"><path d="{ICONS[name]}"/></svg>'
    )
