"""What the diagnosis learns from, and how its scores are counted."""

from dataclasses import replace

import pytest
import torch
from skimage.data import astronaut

from lwr.loading.diagnosis import load_head
from training.data.photos import Photo
from training.diagnosis.examples import FINE, HAZE, RAIN, draw_picture, example
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


def test_the_veil_of_rain_is_thin_haze_in_training_and_no_haze_that_scores_count() -> None:
    drawn = [[draw_picture(PHOTOS, 3, place, hard) for place in range(70)] for hard in (False, True)]
    scored, trained = ([one for one in each if one.severities[RAIN] > 0] for each in drawn)
    assert len(scored) > 5 and len(trained) > 5
    unknown = [one for one in scored if HAZE in one.unknown]
    assert unknown, "whether such a photo is hazy is not known"
    assert not any(HAZE in one.unknown for one in trained)
    veils = sorted(one.severities[HAZE] for one in trained)
    assert veils[0] < 0.1 < veils[-1] <= 1, "as thin as it is, with the haze before it"
    assert all((one.maps[HAZE] == -1).all() or one.maps[HAZE].min() >= 0 for one in trained)
