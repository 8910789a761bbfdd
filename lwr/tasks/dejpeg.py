"""Task "dejpeg"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lwr.tasks.base import Task, Vocabulary, phrases

if TYPE_CHECKING:
    import torch

    from lwr.degrade.draw import Degraded, Params


def degrade(clean: torch.Tensor, generator: torch.Generator, params: Params | None = None) -> Degraded:
    """Save `clean` (B,3,H,W) in [0,1] too small, as JPEG or much like WebP; 8-bit, same shape."""
    from lwr.degrade.recompress import recompress

    return recompress(clean, generator, params)


def severity(params: dict[str, Any], degraded: torch.Tensor, clean: torch.Tensor) -> float:
    """By the lowest quality that it was saved at."""
    from lwr.degrade.severity import jpeg_severity

    return jpeg_severity(params)


TASK = Task(
    name="dejpeg",
    title="Remove JPEG artefacts",
    defect="over-compressed",
    instruction="remove the compression artefacts",
    examples=("remove the JPEG artefacts", "it went through WhatsApp", "blocky from being saved too often"),
    vocabulary=Vocabulary(
        defects=phrases(
            """jpeg artifacts, jpeg artefacts, jpg artifacts, jpg artefacts, artifacts, artefacts, artifact,
            artefact, artifacting, compression artifacts, compression artefacts, compression, overcompressed,
            over compressed, jpeg compression, jpg compression, webp compression, jpeg noise, jpg noise, jpeg
            blocks, jpg blocks, jpeg blockiness, jpeg damage, mosquito noise, compression noise, heavily
            compressed, too compressed, compressed, compressed too much, compressed to death, compressed too
            hard, blocking artifacts, blocking artefacts, the blocking, jpeg blocking, blocky, blockiness,
            the blocks, blocks everywhere, see blocks, full of blocks, visible blocks, 8x8 blocks,
            macroblocks, macroblocking, little squares, tiny squares, small squares, see the squares,
            banding, deep fried, jpegged, jpeged, saved too often, saved too many times, saved so many times,
            resaved too often, re saved too often, low jpeg quality, low quality jpeg, low quality jpg, bad
            jpeg, bad jpg, crushed by whatsapp, ruined by whatsapp, went through whatsapp, sent through
            whatsapp, sent over whatsapp, sent via whatsapp, sent by whatsapp, sent it on whatsapp, sent on
            whatsapp, got it on whatsapp, came from whatsapp, came through whatsapp, came over whatsapp,
            comes from whatsapp, it is from whatsapp, whatsapp compression, whatsapp compressed, whatsapp
            artifacts, messenger compression, facebook compression, instagram compression, facebook
            compressed, instagram compressed, messenger compressed, telegram compressed, compressed by
            whatsapp, compressed by facebook, compressed by instagram, compressed by messenger, ringing
            artifacts, ringing around the edges, ringing at the edges, halos around the edges"""
        ),
        actions=phrases(
            """dejpeg, dejpg, unjpeg, deblock, deblocking, deartifact, deartefact, decompress, uncompress,
            artifact removal, artefact removal, jpeg repair, jpeg cleanup, jpeg restoration"""
        ),
        qualities=phrases("artifact free, artefact free, free of artifacts, free of artefacts"),
        idioms=phrases(
            """city blocks, blocks away, apartment blocks, apartment block, blocks of flats, blocks the view,
            blocks the sun, historical artifact, historical artifacts, ancient artifact, ancient artifacts,
            blocks of ice, blocks of stone, blocking the view, blocking the sun"""
        ),
    ),
    degrade=degrade,
    severity=severity,
    default_scale=1.0,
    arises="file",
    color_fix="wavelet",
    formation="""Each of `saves` is one file that the photo went through: a JPEG of that `quality`, with
colours at half the size (4:2:0) unless `full_color`, its blocks moved by `shift` pixels against those before,
as in a photo that was cut. `kind` "once": one JPEG of quality 5 to 60. "again": two, at least one of them as
low. "chat": a good one, then the photo at `side` times its size as a JPEG of quality 25 to 70, enlarged back
bicubically. "webp-like": blocks of 4x4 pixels with one step for all frequencies, 4:2:0, and weak differences
smoothed as by WebP's loop filter; it is not WebP's own codec.""",
    default_fidelity=1.0,
)
