"""Theme, style sheet, and the texts that several parts of the page share."""

import gradio as gr

from page.compare import CSS as COMPARISON
from page.compare import STATIC
from page.uploads import SENTENCE
from page.words import shown_later

TITLE = "Light-Weight Restoration"
FIX = "Just fix it"
PURPOSE = f"Choose a photo and press “{FIX}”, or say in your own words what is wrong with it."
NOTHING_SAID = "Without a sentence I do what the photo needs."
NOTHING_ASKED = "Say what is wrong, or choose what to do."
FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": "monospace"}  # none from other servers
DARKER = {
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_hover_dark": "*primary_800",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_300",
    "block_label_text_color": "*neutral_700",
    "block_label_text_color_dark": "*neutral_200",
}
THEME = gr.themes.Default(primary_hue="teal", **FONTS).set(**DARKER)
# Gradio says these in English in some or all of our languages: static/words.js puts ours in their place.
OF_GRADIO = (
    *("Error", "Warning", "Info", "Success", "Close", "Connection Lost", "An error occurred"),
    "Connection to the server was lost. Attempting reconnection...",
    "Connection errored out.",
    "Lost connection due to leaving page. Rejoining queue...",
    "This application is currently busy. Please try again.",
    "Waiting for file(s) to finish uploading, please retry.",
    "File(s) exceed the maximum allowed size of {size}: {name}",
    "Invalid file type: {name}. Only {kind} allowed.",
    *("Remove Image", "Fullscreen", "Exit fullscreen mode", "Upload file", "Capture from camera"),
    *("Paste from clipboard", "Use via API or MCP"),
)
shown_later(*OF_GRADIO, SENTENCE)
SCRIPTS = [(STATIC / name).read_text(encoding="utf-8") for name in ("page.js", "files.js", "words.js")]
JS = "() => {" + "".join(f"({script})();" for script in SCRIPTS) + "}"
CSS = COMPARISON + (STATIC / "page.css").read_text(encoding="utf-8")
