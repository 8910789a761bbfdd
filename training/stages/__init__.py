"""The rungs of the ladder: one file each, saying what trains and with which loss."""

from training.stages.adapter import Adapters
from training.stages.autoencoder import Autoencoder
from training.stages.base import Stage
from training.stages.decoder import Decoder
from training.stages.distill import Distill
from training.stages.encoder import Encoder
from training.stages.end_to_end import EndToEnd
from training.stages.fusion import FusionStage
from training.stages.prior import Prior
from training.stages.sampler_adapter import SamplerAdapters
from training.stages.wrapping import Wrapping

STAGES: dict[str, type[Stage]] = {
    "autoencoder": Autoencoder,
    "prior": Prior,
    "encoder": Encoder,
    "adapter": Adapters,
    "wrapping": Wrapping,
    "decoder": Decoder,
    "end_to_end": EndToEnd,
    "distill": Distill,
    "sampler_adapter": SamplerAdapters,
    "fusion": FusionStage,
}
