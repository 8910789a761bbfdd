"""The tables of the set: names and types of their columns, as `datasets` and the Hub's viewer read them."""

import io
import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from PIL import Image

SPLITS = ("train", "validation", "test")
ALL = "all"  # the config with every degradation of an image in one row
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_TEXT = pa.string()
_WHOSE = {"source": _TEXT, "author": _TEXT, "license": _TEXT, "width": pa.int32(), "height": pa.int32()}
_IDS = {"image_id": _TEXT, "photo_id": _TEXT, "clean": _IMAGE}
_NAMES = {pa.string(): "string", pa.int32(): "int32", pa.int64(): "int64"}


def task_schema() -> pa.Schema:
    """Of the config of one task."""
    own = {"degraded": _IMAGE, "task": _TEXT, "prompt": _TEXT, "params": _TEXT, "seed": pa.int64()}
    return _schema(_IDS | own | _WHOSE)


def all_schema(tasks: Sequence[str]) -> pa.Schema:
    """Of the config `all`; the column of a task is `degraded_TASK`."""
    return _schema(_IDS | {degraded_column(task): _IMAGE for task in tasks} | _WHOSE)


def degraded_column(task: str) -> str:
    """The column of a task in the config `all`."""
    return f"degraded_{task}"


def schema_of(config: str, tasks: Sequence[str]) -> pa.Schema:
    """Of any config of a set of these tasks."""
    return all_schema(tasks) if config == ALL else task_schema()


def shard_name(config: str, split: str, index: int, count: int) -> str:
    """The path of one shard in the set's folder."""
    return f"data/{config}/{split}-{index:05}-of-{count:05}.parquet"


def webp(pixels: np.ndarray) -> dict[str, bytes | None]:
    """(H,W,3) uint8 as an image cell, lossless.

    WebP in its quickest mode: a fifth of PNG's time and three quarters of its size on photos of 512 pixels;
    the bytes follow from pixels and libwebp's version alone.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, quality=0, method=0, exact=True)
    return {"bytes": buffer.getvalue(), "path": None}


def pixels_of(cell: dict[str, bytes]) -> np.ndarray:
    """An image cell as (H,W,3) uint8. Raises Pillow's errors on damaged bytes."""
    with Image.open(io.BytesIO(cell["bytes"])) as image:
        return np.array(image.convert("RGB"))


def _schema(columns: dict[str, pa.DataType]) -> pa.Schema:
    """With the metadata in which `datasets` keeps its features: pictures are decoded without a script."""
    features = {
        name: {"_type": "Image"} if kind == _IMAGE else {"dtype": _NAMES[kind], "_type": "Value"}
        for name, kind in columns.items()
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(list(columns.items()), metadata)
