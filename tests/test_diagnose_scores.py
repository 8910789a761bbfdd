"""How the scores of the diagnosis are counted."""

from dataclasses import replace

import pytest
import torch
from skimage.data import astronaut

from lwr.loading.diagnosis import load_head
from training.data.photos import Photo
from training.diagnosis.examples import FINE, HAZE, example
from training.diagnosis.scores import scores

PHOTOS = [Photo("a", "a", torch.from_numpy(astronaut()), clear=True)]


def test_areas_with_one_defect_leave_out_pictures_with_several() -> None:
    read = [example(PHOTOS, 0, place) for place in range(24)]
    head = load_head()
    with torch.inference_mode():
        rows = [head(each.evidence.cells.float(), each.evidence.statistics[None])[0][0] for each in read]
    order = torch.stack(rows)[:, head.defects.index(HAZE)].argsort(descending=True).tolist()
    none = dict.fromkeys(head.defects, 0.0)
    # The six that look haziest are hazy, the six that look least so hazy and blurred: both areas are right
    # only if the second six count in one of them alone.
    truths = [{HAZE: 0.5}] * 6 + [{}] * 12 + [{HAZE: 0.5, FINE[0]: 0.5}] * 6
    labelled = [
        replace(read[place], severities=none | truth, unknown=set())
        for place, truth in zip(order, truths, strict=True)
    ]
    found = scores(head, labelled)[HAZE]
    assert found.auc_alone == 1.0 and found.auc == pytest.approx(0.5)
    alike = scores(head, [replace(each, severities=none) for each in labelled])[HAZE]
    assert alike.auc is None and alike.auc_alone is None
