# SPDX-License-Identifier: Apache-2.0
"""An image whose annotations are lost to errors is never background, in any format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from data_files import make_image, make_text

from pydarknet import data
from pydarknet.data import Dataset, Sample, Status
from pydarknet.data.ops import drop_boxes
from pydarknet.data.splits import Splits
from pydarknet.errors import DataError

COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 100}],
    "categories": [{"id": 1, "name": "dog"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": {"x": 20, "y": 10}}],
}
ODGT = {"ID": "a", "gtboxes": [{"tag": "robot", "fbox": [1, 2, 3, 4]}]}
LABELME = {"imagePath": "a.jpg", "shapes": [{"label": "d", "points": [[1, 1]], "shape_type": "point"}]}
STUDIO = [
    {"data": {"image": "a.jpg"}, "annotations": [{"result": [{"type": "keypointlabels", "value": {}}]}]}
]
VIA = {
    "a": {"filename": "a.jpg", "regions": [{"shape_attributes": {"name": "point"}, "region_attributes": {}}]}
}
MANIFEST = {
    "source-ref": "a.jpg",
    "l": {"annotations": [{"class_id": 0}]},
    "l-metadata": {"class-map": {"0": "d"}, "type": "groundtruth/object-detection"},
}
VOC = "<annotation><filename>a.jpg</filename><object><name>d</name></object></annotation>"
CVAT = '<annotations><image name="a.jpg"><points label="d" points="1,1"/></image></annotations>'
CASES = {
    "darknet": ("a.txt", "0 20 10 60 40\n"),
    "coco": ("a.json", json.dumps(COCO)),
    "crowdhuman": ("a.odgt", json.dumps(ODGT)),
    "labelme": ("a.json", json.dumps(LABELME)),
    "labelstudio": ("a.json", json.dumps(STUDIO)),
    "via": ("a.json", json.dumps(VIA)),
    "groundtruth": ("a.manifest", json.dumps(MANIFEST)),
    "voc": ("a.xml", VOC),
    "cvat": ("a.xml", CVAT),
    "csv": ("a.csv", "filename,class,xmin,ymin,xmax,ymax\na.jpg,d,1,2,x,4\n"),
    "kaggle": ("a.csv", "ImageId,PredictionString\na,n01 1 2 3\n"),
    "openimages": ("a.csv", "ImageID,LabelName,XMin,XMax,YMin,YMax\na,/m/1,0.1,x,0.1,0.4\n"),
    "kitti": ("a.txt", "Car 0 0 0 1 2 x 4 1 1 1 1 1 1 1\n"),
}


@pytest.mark.parametrize("name", CASES)
def test_lost_annotation(tmp_path: Path, name: str) -> None:
    """The only annotation cannot be used: no empty label file, and not an image to train on."""
    make_image(tmp_path / "in/a.jpg", 200, 100)
    file, text = CASES[name]
    make_text(tmp_path / "in" / file, text)
    single = name not in ("darknet", "kitti")
    dataset = data.read(tmp_path / "in" / file if single else tmp_path / "in", name, names=["d"])
    assert len(dataset.report)
    assert not any(sample.status is Status.BACKGROUND or len(sample) for sample in dataset)
    with pytest.raises(DataError, match="nothing was written: "):
        data.write(dataset, tmp_path / "out")
    assert not [path for path in tmp_path.rglob("out/**/*") if path.is_file()]


def test_training_and_writing_leave_it_out(tmp_path: Path) -> None:
    """Beside a good image; a box dropped on purpose empties an image as well, unless that is asked for."""
    box = {"boxes": [[0, 0, 5, 5]], "classes": [0], "size": (9, 9)}
    good, empty = (
        Sample(make_image(tmp_path / "g.png", 9, 9), **box),
        Sample(make_image(tmp_path / "e.png", 9, 9)),
    )
    lost = Sample(make_image(tmp_path / "l.png", 9, 9), **box).select([])
    splits = Splits.of(Dataset([good, empty, lost], ["d"]))
    assert (splits.train, splits.emptied) == ((good, empty), (lost,))
    report = data.write(Dataset([good, empty, lost], ["d"]), tmp_path / "out")
    assert [issue.file for issue in report.issues if issue.code == "emptied"] == [str(lost.image)]
    assert sorted(path.stem for path in (tmp_path / "out/train").glob("*.txt")) == ["e", "g"]
    kept = drop_boxes(Dataset([good], ["d"]), "width < 9", keep_emptied=True)
    assert kept[0].status is Status.BACKGROUND
