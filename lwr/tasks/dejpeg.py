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


_APPS = phrases(
    """whatsapp, facebook, instagram, messenger, telegram, discord, viber, wechat, snapchat, twitter,
    tiktok, pinterest"""
)
_RUINED = phrases(
    """ruined, killed, destroyed, crushed, wrecked, butchered, mangled, compressed, compresses,
    compression, artifacts, artefacts, made it worse, made it blocky"""
)

TASK = Task(
    name="dejpeg",
    title="Fix compression",
    defect="over-compressed",
    instruction="remove the compression artefacts",
    examples=("remove the JPEG artefacts", "it went through WhatsApp", "blocky from being saved too often"),
    vocabulary=Vocabulary(
        defects=phrases(
            """artifacts, artefacts, artifact, artefact, artifacting, compression, over compression,
            overcompression, overcompressed, over
            compressed, compressed, compressed too much, compressed too hard, compressed to death, too
            compressed, heavily compressed, jpeg noise, jpg noise, jpeg damage, mosquito noise,
            compression noise, blocking artifacts, blocking artefacts, the blocking, jpeg blocking,
            blocky, blockiness, blocks everywhere, are blocks, has blocks, blocks around, blocks at the,
            blocks in the sky, macro blocks, saved as a tiny jpeg, saved as a small jpeg, small in file
            size, small file size, tiny file size, blocks all over, full of blocks, see blocks, 8x8
            blocks, macroblocks, macroblocking, squares everywhere, squares all over, full of squares,
            grid of squares, see the squares, banding, posterized, posterised, posterization,
            posterisation, deep fried, jpegged, jpeged, saved too often, saved too many times, saved so
            many times, saved many times, resaved, re saved, reposted, re posted, reuploaded, re
            uploaded, low jpeg quality, low quality save, bad compression, low bitrate, low bit rate,
            screenshot of a screenshot, jpeg of a jpeg, copy of a copy, ringing artifacts, ringing
            around, ringing at the edges, halos around the edges"""
        )
        + tuple(
            f"{low} {file}"
            for low in phrases(
                "low quality, lowest quality, poor quality, bad, poor, crappy, terrible, old, ancient, 2005"
            )
            for file in phrases("jpeg, jpg, webp, jpeg file, jpg file")
        )
        + tuple(f"quality {number}" for number in range(1, 61))
        + tuple(
            f"{saved} {at} {low} quality"
            for saved in phrases("saved, saved it, saved this, exported, exported it")
            for at in ("at", "at the", "in", "with")
            for low in ("low", "lowest", "poor", "minimum")
        )
        + tuple(
            f"{these} blocks"
            for these in phrases("the, these, those, ugly, visible, jpeg, jpg, compression, pixel")
        )
        + tuple(
            f"{small} squares" for small in phrases("these, those, ugly, weird, strange, little, tiny, small")
        )
        + tuple(f"{way} {app}" for way in phrases("from, over, via, through, by") for app in _APPS)
        + tuple(
            f"{sent} on {app}"
            for sent in phrases("sent, sent it, got it, got this, received")
            for app in _APPS
        )
        + tuple(f"{app} {did}" for app in (*_APPS, "email") for did in _RUINED),
        actions=phrases(
            """dejpeg, dejpg, unjpeg, deblock, deblocking, deartifact, deartefact, decompress,
            uncompress, artifact removal, artefact removal, jpeg repair, jpeg cleanup, jpeg restoration"""
        )
        + tuple(
            f"{fix} {the}{jpeg}{noise}"
            for fix in phrases("clean, clean up, fix, repair")
            for the in ("", "the ", "this ", "my ")
            for jpeg in ("jpeg", "jpg")
            for noise in ("", " noise")  # which is no noise
        ),
        qualities=phrases("artifact free, artefact free, free of artifacts, free of artefacts"),
        idioms=phrases(
            """compression socks, compression stockings, city blocks, blocks away, apartment blocks,
            apartment block, blocks of flats, blocks the view, blocks the sun, historical artifact,
            historical artifacts, ancient artifact, ancient artifacts, blocks of ice, blocks of stone,
            blocking the view, blocking the sun"""
        )
        + tuple(f"send it {way} {app}" for way in phrases("over, via, through, by") for app in _APPS),
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
