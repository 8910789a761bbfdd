"""diffusers is imported lightly in our programs, and is whole all the same for whoever uses it afterwards."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIGHTLY = """
import sys
from lwr.loading.light_imports import import_diffusers_lightly
assert import_diffusers_lightly() is {expected}
"""
LATER = """
from diffusers import AutoencoderKL, UNet2DConditionModel
mine = UNet2DConditionModel, sys.modules["diffusers.models.transformers.transformer_2d"].Transformer2DModel
heavy = {"transformers", "peft", "scipy", "torch._dynamo"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
USES = {
    "pipelines and their packages": """
import diffusers.models.transformers, diffusers.models.unets
from diffusers import StableDiffusionPipeline, Transformer2DModel
from diffusers.models.transformers import DualTransformer2DModel
from diffusers.models.transformers.dual_transformer_2d import DualTransformer2DModel as SameModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel as SameUNet
assert mine == (SameUNet, Transformer2DModel) and SameModel is DualTransformer2DModel
assert diffusers.models.transformers.transformer_2d.Transformer2DModel is Transformer2DModel
assert diffusers.models.unets.UNet2DModel is diffusers.UNet2DModel
assert issubclass(StableDiffusionPipeline, diffusers.loaders.StableDiffusionLoraLoaderMixin)
assert "diffusers.models.unets.unet_3d_condition" in sys.modules
try:
    diffusers.hooks.no_such_name
except AttributeError as error:
    assert "diffusers.hooks" in str(error) and "no_such_name" in str(error)
""",
    "quantizers and single files": """
import diffusers.loaders.single_file_model as single, diffusers.models.modeling_utils as modeling
from diffusers.quantizers import DiffusersAutoQuantizer, PipelineQuantizationConfig
assert type(modeling.DiffusersAutoQuantizer) is not type and modeling.DiffusersAutoQuantizer.from_config
assert modeling.DiffusersAutoQuantizer is DiffusersAutoQuantizer
tables = single.SINGLE_FILE_LOADABLE_CLASSES["UNet2DConditionModel"]["checkpoint_mapping_fn"]
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, SingleFileComponentError
assert issubclass(SingleFileComponentError, Exception)
assert tables.stood_for() is convert_ldm_unet_checkpoint is single.convert_ldm_unet_checkpoint
""",
    "LoRAs": """
import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from diffusers.loaders import lora_base
from diffusers.utils import USE_PEFT_BACKEND
assert USE_PEFT_BACKEND
sizes = dict(block_out_channels=(32,), layers_per_block=1, cross_attention_dim=8, attention_head_dim=8)
blocks = dict(down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",))
unet = UNet2DConditionModel(**sizes, **blocks).eval()
inputs = torch.randn(1, 4, 8, 8), 1, torch.randn(1, 3, 8)
with torch.no_grad():
    plain = unet(*inputs).sample
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    half, full = (unet(*inputs, cross_attention_kwargs={"scale": s}).sample for s in (0.0, 1.0))
layers = [one for one in unet.modules() if isinstance(one, lora_base.BaseTunerLayer)]
assert layers and all(isinstance(one, BaseTunerLayer) for one in layers)
assert torch.allclose(plain, half, atol=1e-5) and not torch.allclose(plain, full, atol=1e-4)
""",
    "transformers": """
from diffusers.loaders import lora_base
assert not isinstance(mine, lora_base.PreTrainedModel) and "transformers" not in sys.modules
import transformers
assert issubclass(transformers.CLIPTextModel, lora_base.PreTrainedModel)
assert lora_base.PreTrainedModel is transformers.PreTrainedModel
assert transformers.models.clip.modeling_clip.CLIPTextModel is transformers.CLIPTextModel
""",
    "torch._dynamo": """
from diffusers.models.attention import BasicTransformerBlock, Attention
import torch._dynamo
from torch._dynamo import trace_rules
assert all(id(one) in trace_rules._allowed_callable_ids for one in (BasicTransformerBlock, Attention))
from diffusers.models.attention import FeedForward
assert torch.compile(torch.nn.ReLU(), backend="eager")(torch.ones(2)).tolist() == [1, 1]
""",
    "what is installed": """
from importlib.metadata import packages_distributions
from diffusers.utils import import_utils
assert dict(import_utils._package_map) == dict(packages_distributions())
assert import_utils.is_transformers_available() and import_utils.is_peft_available()
""",
}


def failure_of(code: str) -> str:
    """The end of what a process of its own says where the code fails; nothing where it does not."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    return f"status {done.returncode}: {done.stderr[-3000:]}" if done.returncode else ""


@pytest.mark.parametrize("use", USES)
def test_whoever_comes_later_finds_it_whole(use: str) -> None:
    assert not failure_of(LIGHTLY.format(expected=True) + LATER + USES[use])


@pytest.mark.parametrize(
    ("before", "expected"),
    {
        "import diffusers": False,
        "import lwr.loading.light_imports as light; light.VERSION = '0.1'": False,
        "import lwr.loading.light_imports as light; light.LATER = ('diffusers.models.resnet',)": False,
    }.items(),
)
def test_elsewhere_it_is_imported_as_always(before: str, expected: bool) -> None:
    usual = "from diffusers import UNet2DConditionModel, FluxTransformer2DModel\nimport diffusers.hooks\n"
    whole = 'assert type(diffusers.hooks).__name__ == "module" and diffusers.hooks.HookRegistry'
    assert not failure_of(f"{before}\n{LIGHTLY.format(expected=expected)}{usual}{whole}")
