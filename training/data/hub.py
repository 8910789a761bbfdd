"""Datasets on the Hub, opened as streams; where there is none, or no network, a sentence that comes soon."""

from typing import Any

from training.data.storage import place

SECONDS = 10.0  # that the Hub has to say whether it knows a dataset


def looks_local(text: str) -> bool:
    """Whether a place can only be a path: it is no NAMESPACE/NAME, or its first folder is here."""
    first, slash, _ = text.partition("/")
    if text.startswith((".", "/", "~", "\\")) or "://" in text:
        return True
    return "@" not in text and bool(slash) and place(first).is_dir()


def streams(name: str, config: str | None, revision: str | None, **split: str) -> Any:
    """A dataset of the Hub as streams of rows, all splits or the one that `split=` names.

    Raises FileNotFoundError, whose text says why it cannot be opened, without a full stop.
    """
    check_there(name, revision)
    import datasets  # here: a second that no other source needs

    try:
        return datasets.load_dataset(name, config, revision=revision, streaming=True, **split)
    except Exception as error:  # whatever the Hub, the network and a faulty dataset card lead to
        first = next(iter(str(error).splitlines()), "").rstrip(".")
        raise FileNotFoundError(first or type(error).__name__) from error


def check_there(name: str, revision: str | None) -> None:
    """FileNotFoundError where the Hub has no such dataset or is not reached, which `datasets` tries long."""
    from httpx2 import TransportError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        HfApi().dataset_info(name, revision=revision, timeout=SECONDS)
    except (TransportError, OfflineModeIsEnabled) as error:
        raise FileNotFoundError("the Hub cannot be reached from here") from error
    except RevisionNotFoundError as error:
        raise FileNotFoundError(f"the Hub's {name} has no revision {revision}") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise FileNotFoundError("the Hub has none of this name, or it is private") from error
    except HfHubHTTPError:
        return  # it is busy: `datasets` tries again
