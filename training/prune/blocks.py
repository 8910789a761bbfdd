"""Whole blocks removed, as BK-SDM does (Kim et al. 2024): first those that harm least for what they cost.

Only blocks that give back what has their input's shape can go.
"""

from collections.abc import Callable

import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lwr.models.encoder import TimeBlock
from lwr.models.network import RestorationNetwork
from lwr.models.pruned import REMOVABLE, RESIZERS, remove_block
from lwr.models.sft import residual_blocks
from lwr.models.skip import Skip
from training.stages.adapted import TaskLoras

Loss = Callable[[], float]  # of the network as it is now, on batches that are always the same


def candidates(network: RestorationNetwork, parts: tuple[str, ...]) -> list[str]:
    """Names of the blocks in these parts that can go."""
    starts = tuple(f"{part}." for part in parts)
    return [
        name
        for name, block in network.named_modules()
        if name.startswith(starts) and isinstance(block, REMOVABLE) and _keeps_shape(block)
    ]


def _keeps_shape(block: nn.Module) -> bool:
    if isinstance(block, ResnetBlock2D):
        return block.conv_shortcut is None
    if isinstance(block, RESIZERS):
        return False
    return not isinstance(block, TimeBlock) or isinstance(block.skip, nn.Identity)


def costs(network: RestorationNetwork, names: list[str], run: Callable[[], object]) -> dict[str, int]:
    """{block: operations that it takes in one `run` of the network}; blocks that do not run are left out."""
    counted: dict[str, int] = dict.fromkeys(names, 0)
    handles, counters = [], []
    for name in names:
        block = network.get_submodule(name)

        def before(_module: nn.Module, _inputs: object) -> None:
            counters.append(FlopCounterMode(display=False))
            counters[-1].__enter__()

        def after(_module: nn.Module, _inputs: object, _output: object, name: str = name) -> None:
            counter = counters.pop()
            counter.__exit__(None, None, None)
            counted[name] += counter.get_total_flops()

        handles += [block.register_forward_pre_hook(before), block.register_forward_hook(after)]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return {name: cost for name, cost in counted.items() if cost}


def harms(network: RestorationNetwork, names: list[str], loss: Loss) -> dict[str, float]:
    """{block: by how much the loss rises without it, everything else untouched}."""
    whole, found = loss(), {}
    for name in names:
        block = network.get_submodule(name)
        handle = block.register_forward_hook(
            lambda _module, inputs, output: inputs[:1] if isinstance(output, tuple) else inputs[0]
        )
        found[name] = loss() - whole
        handle.remove()
    return found


def choose(harm: dict[str, float], cost: dict[str, int], ratio: float) -> list[str]:
    """Blocks in the order of harm per operation, until `ratio` of all operations in `cost` are gone."""
    chosen: list[str] = []
    for name in sorted(cost, key=lambda one: harm[one] / cost[one]):
        if sum(cost[one] for one in chosen) >= ratio * sum(cost.values()):
            break
        chosen.append(name)
    return chosen


def remove(network: RestorationNetwork, loras: TaskLoras, names: list[str]) -> None:
    """Put Skips in place of the blocks, of the SFT layers of the UNet's, and drop their LoRAs."""
    blocks = {block: place for place, (_, block) in enumerate(residual_blocks(network.prior.unet))}
    removed = [network.get_submodule(name) for name in names] if network.sft is not None else []
    layers = [f"sft.layers.{blocks[block]}" for block in removed if block in blocks]
    gone = sorted({*names, *layers})
    for name in gone:
        if not isinstance(network.get_submodule(name), Skip):
            remove_block(network, name)
    starts = tuple(f"{name.replace('.', '/')}/" for name in gone)
    for pairs in loras.values():
        for name in [name for name in pairs if name.startswith(starts)]:
            del pairs[name]
