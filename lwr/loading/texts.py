"""What the text encoder makes of the tasks' sentences, kept beside a prior: who routes prompts needs no more.

FILE holds {sentence: (L,D)} in float32 for the empty text and every task's instruction, as the text encoder
gives them on a CPU, and a checksum of the files that they were made with. Text encoder and tokenizer are read
for any other text, and where the checksum does not fit.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lwr.loading.streaming import weight_files
from lwr.models.prior import StoredTexts, encode
from lwr.tasks import TASKS

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTokenizer

FILE = "text_embeddings.safetensors"
MADE_WITH = ("text_encoder", "tokenizer")  # folders


def save_texts(folder: Path) -> None:
    """Write FILE into a prior's folder, from the text encoder and the tokenizer in it."""
    text_encoder, tokenizer = load_text_encoder(folder)
    with torch.inference_mode():
        found = {text: encode([text], text_encoder, tokenizer)[0].clone() for text in routed_texts()}
    save_file(found, folder / FILE, metadata={"checksum": _checksum(folder)})


def stored_texts(folder: Path) -> StoredTexts | None:
    """What FILE in a prior's folder holds; None where there is none, or another text encoder made it."""
    if not (folder / FILE).is_file():
        return None
    with safe_open(folder / FILE, "pt") as file:
        if (file.metadata() or {}).get("checksum") != _checksum(folder):
            return None
        embeddings = {text: file.get_tensor(text) for text in file.keys()}  # noqa: SIM118  no dict
    return StoredTexts(embeddings, partial(load_text_encoder, folder))


def routed_texts() -> Iterator[str]:
    """The texts that a network reads when a prompt chooses tasks: none, and each task's sentence."""
    yield ""
    yield from dict.fromkeys(task.instruction for task in TASKS.values())


def load_text_encoder(
    folder: Path, precision: torch.dtype = torch.float32
) -> tuple["CLIPTextModel", "CLIPTokenizer"]:
    """A prior's text encoder, on the CPU, and its tokenizer."""
    from transformers import CLIPTextModel, CLIPTokenizer  # only here: it takes a second

    files, variant = weight_files(folder / "text_encoder")
    # weights are ordinary tensors, whenever they are read
    with without_transformers_bars(), torch.inference_mode(False):
        text_encoder = CLIPTextModel.from_pretrained(
            folder / "text_encoder",
            torch_dtype=precision,
            use_safetensors=bool(files),  # else pickled, which is read without running what it holds
            variant=variant,
        )
    return text_encoder, CLIPTokenizer.from_pretrained(folder / "tokenizer")


@contextmanager
def without_transformers_bars() -> Iterator[None]:
    """Within it transformers shows no progress bars of weights, which are quick; it is one switch for all."""
    from huggingface_hub.utils import are_progress_bars_disabled, enable_progress_bars
    from transformers.utils import logging

    shown, downloads_show = logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown and downloads_show:
            logging.enable_progress_bar()
        elif downloads_show:  # transformers' switch is for them too
            enable_progress_bars()


def _checksum(folder: Path) -> str:
    """SHA-256 of all that an embedding follows from."""
    digest = hashlib.sha256()
    files = (path for name in MADE_WITH for path in (folder / name).glob("*") if path.is_file())
    for path in sorted(path for path in files if not path.name.startswith(".")):
        digest.update(f"{path.parent.name}/{path.name} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
