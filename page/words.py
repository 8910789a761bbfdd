"""The page in its visitor's language: English is written in the code, translations in languages/*.json.

`t` marks what stands in widgets, which Gradio translates in the browser, and what scripts of the page's own
widgets show. `said` translates a finished sentence on the server, by the templates of the same files: with
"I understood: **{what}**" in them, what stands for `{what}` is translated in turn. What has no translation
stays English, as prompts do.
"""

import json
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

import gradio as gr
from gradio.context import LocalContext
from gradio.i18n import I18nData
from gradio.routes import templates
from jinja2 import ChoiceLoader, DictLoader

FOLDER = Path(__file__).parent / "languages"
LANGUAGES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))  # beside English
# What a placeholder stands for, by its name; others take anything.
NUMBER, PHRASE, WORDS = r"[\d.,x%]+", "[^;]+?", "(?:(?!, | and ).)+"
KINDS = (
    dict.fromkeys(("number", "total", "most", "scale", "share", "pixels"), NUMBER)
    | dict.fromkeys(("what", "time", "wait", "left"), PHRASE)
    | {"defect": WORDS, "unit": "pixels|megapixels|inches|cm|mm"}
)
AND = "{one} and {other}"  # for what is known on both sides alone: names of files hold the word too
LEAST = 4  # letters that a template must have beside its placeholders to be a sentence of its own
LONGEST = 2000  # characters; the page says nothing longer
WIDE = ("zh", "ja")  # languages with their own comma and full stop
FRAME = "frontend/index.html"  # Gradio's template of the page
# Gradio knows Chinese by two regions alone: it would show English to browsers that name none or another, and
# Taiwan's words beside ours, which are written as in China.
CHINESE = """<script>
if (/^zh\\b/i.test(navigator.language)) Object.defineProperty(navigator, "language", {value: "zh-CN"});
</script>"""
_used: set[str] = set()  # what `t` has marked


def t(text: str) -> str:
    """Mark a text of a widget for translation in the browser; it also works within a longer string."""
    _used.add(text)
    return str(I18nData(text))


def known(text: str) -> str:
    """As `t`, where there are translations: a new task's title stays English until there are."""
    return t(text) if all(text in table(name) for name in LANGUAGES) else text


def shown_later(*texts: str) -> None:
    """Send the translations of these along too, for events and for static/words.js in our own widgets."""
    _used.update(texts)


def translations() -> gr.I18n:
    """For `launch`: of what was marked, once all is laid out."""
    tables = {name: table(name) for name in LANGUAGES}
    return gr.I18n(
        **{
            name: {text: known[text] for text in sorted(_used) if text in known}
            for name, known in tables.items()
        }
    )


def install() -> None:
    """Give all Chinese browsers one page; Gradio asks for the language before any script of ours runs."""
    given = templates.env.loader
    text = given.get_source(templates.env, FRAME)[0].replace("<head>", f"<head>{CHINESE}", 1)
    templates.env.loader = ChoiceLoader([DictLoader({FRAME: text}), given])


@cache
def table(language: str) -> dict[str, str]:
    """{English text or template: translation}."""
    return json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))


def language() -> str:
    """The language that this event's browser names first, as Gradio looks at no other; "en" for all else."""
    request = LocalContext.request.get(None)
    accepted = str(getattr(request, "headers", {}).get("accept-language", "") if request else "")
    name = re.split("[,;-]", accepted.strip(), maxsplit=1)[0].strip().lower()
    return name if name in LANGUAGES else "en"


def said(text: str, name: str | None = None) -> str:
    """A sentence, or several, of the page in the visitor's language (or the one of this `name`)."""
    name = name or language()
    return text if name == "en" or not 0 < len(text) <= LONGEST else _said(text, name)


def phrase(text: str, name: str | None = None) -> str:
    """A part of a sentence, such as a list of what was done, in the visitor's language (or `name`)."""
    name = name or language()
    return text if name == "en" else _part(text, name)


@lru_cache(2000)  # bounded: a server must not grow with its requests
def _said(text: str, name: str) -> str:
    if text in table(name):
        return table(name)[text]
    sentences = re.split(r"(?<=[.!?])(?<!\.\.)\s+(?=\S)", text)
    return " ".join(found if (found := _whole(one, name, LEAST)) is not None else one for one in sentences)


def _whole(text: str, name: str, least: int) -> str | None:
    """The translation of all of the text; None when there is none."""
    if text in table(name):
        return table(name)[text]
    for template, pattern, letters, translation in _templates(name):
        ends = template.endswith(".") == text.endswith(".")
        match = pattern.fullmatch(text) if letters >= least and ends else None
        if match is not None:
            values = {part: _part(value, name) for part, value in match.groupdict().items()}
            return translation.format(**values)
    if text.endswith("."):  # a line that goes on with another sentence
        shorter = _whole(text[:-1], name, least)
        return None if shorter is None else shorter + ("。" if name in WIDE else ".")
    return None


def _part(text: str, name: str) -> str:
    """A value of a template: a phrase, a list of them, or what is the same in every language."""
    if " or " in text:
        one, _, other = text.rpartition(" or ")
        return table(name)["{one} or {other}"].format(one=_part(one, name), other=_part(other, name))
    found = _whole(text, name, LEAST if ", " in text else 0)
    if found is None and ", " not in text and " and " in text:
        both = [_whole(one, name, 0) for one in text.rsplit(" and ", 1)]
        found = None if None in both else table(name)[AND].format(one=both[0], other=both[1])
    if found is not None or ", " not in text:
        return text if found is None else found
    return ("、" if name in WIDE else ", ").join(_part(one, name) for one in text.split(", "))


@cache
def _templates(name: str) -> tuple[tuple[str, re.Pattern[str], int, str], ...]:
    """(template, its pattern, its letters, translation), those that say most first."""
    found = []
    for text, translation in table(name).items():
        if "{" in text and text != AND:
            plain = re.sub(r"{\w+}", "", text)
            pattern = "".join(_pieces(text))
            letters = sum(map(str.isalpha, plain))
            found.append((text, re.compile(pattern, re.DOTALL), letters, translation))
    return tuple(sorted(found, key=lambda one: -one[2]))


def _pieces(template: str) -> Iterator[str]:
    """The regular expression of a template."""
    for piece in re.split(r"({\w+})", template):
        if not piece.startswith("{"):
            yield re.escape(piece)
        else:
            yield f"(?P<{piece[1:-1]}>{KINDS.get(piece[1:-1], '.+?')})"
