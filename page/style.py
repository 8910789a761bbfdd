"""Theme, style sheet, and the texts that several parts of the page share."""

import gradio as gr

TITLE = "Light-Weight Restoration"
PURPOSE = "Choose a photo and say in your own words what is wrong with it: hazy, blurry or too small."
NOTHING_ASKED = "Say what is wrong, or choose what to do."
FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": "monospace"}  # none from other servers
DARKER = {
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_dark": "*primary_700",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_300",
    "block_label_text_color": "*neutral_700",
    "block_label_text_color_dark": "*neutral_200",
}
THEME = gr.themes.Default(primary_hue="teal", **FONTS).set(**DARKER)
# For screen readers and keyboards: Gradio labels an empty picture but gives it no role that may have a label,
# and keys scroll a wide table only if it can have the focus.
JS = """() => {
  const fix = () => {
    document.querySelectorAll('.empty[aria-label]:not([role])').forEach(
      (empty) => empty.setAttribute('role', 'img'));
    document.querySelectorAll('#numbers table:not([tabindex])').forEach(
      (table) => table.setAttribute('tabindex', '0'));
  };
  new MutationObserver(fix).observe(document.body, {childList: true, subtree: true});
  fix();
}"""
CSS = """
.gradio-container { width: 100% !important; max-width: 1180px !important; margin: 0 auto !important; }
footer .divider { display: none; }
.tab-container button.selected { color: var(--primary-700) !important; }
.dark .tab-container button.selected { color: var(--primary-400) !important; }
span.or, button.show-api { color: var(--neutral-600) !important; opacity: 1 !important; }
.dark span.or, .dark button.show-api { color: var(--neutral-300) !important; }
#plan p { margin: 0; min-height: 1.5em; }
.credit { font-size: 0.85em; }
#examples .grid-container, #sheets .grid-container {
  grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)) !important;
}
.gallery-container .grid-container, .gallery-container .grid-wrap {
  min-width: 0; min-height: 0 !important; height: auto !important;
}
@media (max-width: 600px) { .tab-container button { padding: 0 9px !important; } }
.gradio-container > .main, .contain, .tabs { width: 100%; }
.gradio-container, .gradio-container > .main, .tabs, .tab-wrapper, .tab-container { min-width: 0 !important; }
#numbers { contain: inline-size; }
#numbers table { display: block; overflow-x: auto; border: 0 !important; }
#numbers td, #numbers th { white-space: nowrap; }
#numbers code { display: inline; white-space: pre-wrap; overflow-wrap: anywhere; }
"""
