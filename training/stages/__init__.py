"""The stages of training: one file each, saying what trains and with which loss."""

from training.stages.adapter import Adapters
from training.stages.autoencoder import Autoencoder
from training.stages.base import Stage
from training.stages.cfw import CFWStage
from training.stages.distill import Distill
from training.stages.encoder import Encoder
from training.stages.end_to_end import EndToEnd
from training.stages.perceptual import Perceptual
from training.stages.prior import Prior
from training.stages.recover import Recover
from training.stages.refiner import Refiner
from training.stages.sampler_adapter import SamplerAdapters

STAGES: dict[str, type[Stage]] = {
    "autoencoder": Autoencoder,
    "prior": Prior,
    "encoder": Encoder,
    "refiner": Refiner,
    "perceptual": Perceptual,
    "adapter": Adapters,
    "end_to_end": EndToEnd,
    "distill": Distill,
    "sampler_adapter": SamplerAdapters,
    "cfw": CFWStage,
    "recover": Recover,
}
