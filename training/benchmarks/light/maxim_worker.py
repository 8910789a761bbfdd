"""MAXIM (Tu et al. 2022) as npm packages carry it for TensorFlow.js, run by TensorFlow; alone in its process.

maxim.py gives this text to a Python that has tensorflow and need not have lwr. Photos and results are
(N,H,W,3) uint8, sides multiples of 64. The last line of its output is JSON: seconds of a pass for each photo,
parameters, multiply-adds, memory.
"""

import json
import math
import os
import re
import time
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's own remarks; read when it is imported


def main(folder: str, threads: str, photos: str, out: str) -> None:
    """Restore the photos, after a first pass that is not counted."""
    import tensorflow as tf

    tf1, given = tf.compat.v1, np.load(photos)
    graph_def, parameters = read(Path(folder))
    config = tf1.ConfigProto(intra_op_parallelism_threads=int(threads), inter_op_parallelism_threads=1)
    seconds, restored = [], []
    with tf.Graph().as_default() as graph:
        shown = tf1.placeholder(tf.float32, [1, *given.shape[1:]])
        (output,) = tf1.import_graph_def(
            graph_def, input_map={"xs_0:0": shown}, return_elements=["Identity:0"], name=""
        )
        with tf1.Session(config=config) as session:
            for photo in (given[0], *given):
                start = time.perf_counter()
                made = session.run(output, {shown: photo[None].astype(np.float32) / 255})
                seconds.append(time.perf_counter() - start)
                restored.append((made[0].clip(0, 1) * 255).round().astype(np.uint8))
        adds = sum(map(multiply_adds, graph.get_operations()))
    np.save(out, np.stack(restored[1:]))
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1e6
    found = {"seconds": seconds[1:], "parameters": parameters, "adds": adds, "peak_gb": peak}
    print(json.dumps(found | {"tensorflow": tf.__version__}))


def read(folder: Path) -> tuple[object, int]:
    """(TensorFlow's graph with its weights, number of weights) from model.json and the shards beside it."""
    import tensorflow as tf
    from google.protobuf import json_format

    model, weights = json.loads((folder / "model.json").read_text()), {}
    for group in model["weightsManifest"]:
        data, at = b"".join((folder / path).read_bytes() for path in group["paths"]), 0
        for one in group["weights"]:
            kind, count = np.dtype(one["dtype"]), math.prod(one["shape"])
            weights[one["name"]] = np.frombuffer(data, kind, count, at).reshape(one["shape"])
            at += count * kind.itemsize
    empty = tf.compat.v1.GraphDef()
    graph_def = json_format.ParseDict(model["modelTopology"], empty, ignore_unknown_fields=True)
    for node in graph_def.node:
        if node.name in weights:
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(weights[node.name]))
    return graph_def, sum(one.size for one in weights.values() if one.dtype == np.float32)


def multiply_adds(operation: object) -> int:
    """Of a convolution or a product of tensors, whose shapes are known; 0 for all else."""
    if operation.type not in ("Conv2D", "Conv2DBackpropInput", "Einsum"):
        return 0
    inputs = [each.shape.as_list() for each in operation.inputs]
    if operation.type == "Conv2D":  # (kernel, kernel, channels in, channels out)
        return math.prod(operation.outputs[0].shape.as_list()) * math.prod(inputs[1][:3])
    if operation.type == "Conv2DBackpropInput":  # a transposed one of (size, kernel, photo)
        return math.prod(inputs[2]) * math.prod(inputs[1][:3])
    letters = operation.get_attr("equation").decode().partition("->")[0].split(",")
    lengths: dict[str, int] = {}
    for names, sides in zip(letters, inputs, strict=True):
        lengths |= dict(zip(names, sides, strict=True))
    return math.prod(lengths.values())
