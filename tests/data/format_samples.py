# SPDX-License-Identifier: Apache-2.0
"""Files as labelling tools write them: one image a.jpg of 200x100, and one box 20 10 60 40 of a dog."""

from __future__ import annotations

import json
from typing import Any

BOX = [20, 10, 60, 40]
VOC_BOX = "<bndbox><xmin>20</xmin><ymin>10</ymin><xmax>60</xmax><ymax>40</ymax></bndbox>"
VOC = f"<object><name>dog</name>{VOC_BOX}</object>"
CVAT_LABELS = "<meta><task><labels><label><name>dog</name></label></labels></task></meta>"
CVAT_SHAPES = {
    "box": '<box label="dog" occluded="0" xtl="20" ytl="10" xbr="60" ybr="40"/>',
    "ellipse": '<ellipse label="dog" cx="40" cy="25" rx="20" ry="15"/>',
    "polygon": '<polygon label="dog" points="20,10;60,10;60,40"/>',
    "skeleton": '<skeleton label="dog"><points label="1" points="20,10"/><points label="2" points="60,40"/>'
    '<points label="3" outside="1" points="0,0"/></skeleton>',
    "cuboid": '<cuboid label="dog" xtl1="20" ytl1="12" xbl1="20" ybl1="40" xtr1="50" ytr1="12" xbr1="50" '
    'ybr1="40" xtl2="60" ytl2="10" xbl2="60" ybl2="35" xtr2="30" ytr2="10" xbr2="30" ybr2="35"/>',
    "mask": '<mask label="dog" rle="1" left="20" top="10" width="40" height="30"/>',
}


def cvat(shape: str) -> str:
    image = f'<image id="0" name="a.jpg" width="200" height="100">{shape}<tag label="dog"/></image>'
    return f'<?xml version="1.0"?>\n<annotations>\n<version>1.1</version>{CVAT_LABELS}{image}</annotations>'


def labelme(**shape: Any) -> str:
    found = {"label": "dog", "points": [[60, 40], [20, 10]], "shape_type": "rectangle", **shape}
    size = {"imagePath": "a.jpg", "imageData": "x" * 9000, "imageHeight": 100, "imageWidth": 200}
    return json.dumps({"version": "5", **size, "shapes": [found]})


def studio(kind: str, value: dict[str, Any], lists: str = "annotations") -> str:
    size = {"original_width": 200, "original_height": 100}
    result = [{**size, "value": {**value, kind: ["dog"]}, "type": kind, "id": "x"}]
    return json.dumps(
        [{"id": 1, "data": {"image": "/data/upload/1/0f6142fb-a.jpg"}, lists: [{"result": result}]}]
    )


SIZE = {"width": 200, "height": 100}
LTWH = {"left": 20, "top": 10, "width": 40, "height": 30}
CENTRE = {"x": 40, "y": 25, "width": 40, "height": 30}
VOTT = {"id": "r", "type": "RECTANGLE", "tags": ["dog"], "boundingBox": LTWH}
BDD = [
    {"category": "dog", "box2d": {"x1": 20, "y1": 10, "x2": 60, "y2": 40}, "attributes": {"occluded": True}},
    {"category": "lane", "poly2d": [[0, 0], [9, 9]]},
]
RECTANGLE = {"x": 10, "y": 10, "width": 20, "height": 30, "rotation": 0}
RECTANGLES = {
    "labelstudio": studio("rectanglelabels", RECTANGLE),
    "completions": studio("rectanglelabels", RECTANGLE, "completions"),
    "labelstudio ellipse": studio("ellipselabels", {"x": 20, "y": 25, "radiusX": 10, "radiusY": 15}),
}
FILES: dict[str, tuple[str, str, str]] = {  # case: format, file, content
    "LabelImg, verified": (
        "voc",
        "a.xml",
        f'<annotation verified="yes">\r\n<filename>a.jpg</filename>{VOC}</annotation>',
    ),
    "namespace": (
        "voc",
        "a.xml",
        f'<annotation xmlns="http://x/y"><filename>a.jpg</filename>{VOC}</annotation>',
    ),
    "VOC polygon": (
        "voc",
        "a.xml",
        "<annotation><filename>a.jpg</filename><object><name>dog</name><polygon><x1>20</x1><y1>10</y1><x2>60</x2>"
        "<y2>10</y2><x3>60</x3><y3>40</y3></polygon></object></annotation>",
    ),
    "old LabelMe": (
        "voc",
        "a.xml",
        "<annotation><filename>a.jpg</filename><object><name>dog</name><polygon><pt><x>20</x><y>10</y></pt>"
        "<pt><x>60</x><y>40</y></pt></polygon></object></annotation>",
    ),
    "roLabelImg": (
        "voc",
        "a.xml",
        "<annotation><filename>a.jpg</filename><object><name>dog</name><robndbox><cx>40</cx><cy>25</cy><w>30</w>"
        "<h>40</h><angle>1.5707963267948966</angle></robndbox></object></annotation>",
    ),
    **{f"CVAT {name}": ("cvat", "annotations.xml", cvat(shape)) for name, shape in CVAT_SHAPES.items()},
    "LabelMe": ("labelme", "a.json", labelme()),
    "X-AnyLabeling": (
        "labelme",
        "a.json",
        labelme(shape_type="rotation", points=[[20, 10], [60, 10], [60, 40], [20, 40]], direction=0.0),
    ),
    "LabelMe, capital": ("labelme", "a.json", labelme(shape_type="Rectangle", group_id=1.0)),
    **{name: ("labelstudio", "project-1.json", text) for name, text in RECTANGLES.items()},
    "CSV x,y,w,h": ("csv", "l.csv", "ImageID,x,y,width,height,label\na.jpg,20,10,40,30,dog\n"),
    "CSV ;": ("csv", "l.csv", "image_name;label_name;x1;y1;x2;y2\na.jpg;dog;20;10;60;40\n"),
    "TSV": ("csv", "l.tsv", "label\timage\tcx\tcy\tw\th\ndog\ta.jpg\t40\t25\t40\t30\n"),
    "Make Sense": ("csv", "labels.csv", "dog,20,10,40,30,a.jpg,200,100\n"),
    "Make Sense, header": (
        "csv",
        "labels.csv",
        "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height\n"
        "dog,20,10,40,30,a.jpg,200,100\n",
    ),
    "Kaggle": ("kaggle", "LOC_train_solution.csv", "ImageId,PredictionString\na,dog 20 10 59 39 \n"),
    "CrowdHuman": (
        "crowdhuman",
        "annotation_train.odgt",
        json.dumps(
            {"ID": "a", "gtboxes": [{"fbox": [20, 10, 40, 30], "tag": "person", "hbox": [0, 0, 5, 5]}]}
        ),
    ),
    "VIA": (
        "via",
        "via_export.json",
        json.dumps(
            {
                "a.jpg1": {
                    "filename": "a.jpg",
                    "size": 1,
                    "regions": [
                        {
                            "shape_attributes": {"name": "rect", "x": 20, "y": 10, "width": 40, "height": 30},
                            "region_attributes": {"type": "dog"},
                        }
                    ],
                }
            }
        ),
    ),
    "GroundTruth": (
        "groundtruth",
        "output.manifest",
        json.dumps(
            {
                "source-ref": "s3://b/a.jpg",
                "l": {"annotations": [{"class_id": 0, "left": 20, "top": 10, "width": 40, "height": 30}]},
                "l-metadata": {"class-map": {"0": "dog"}, "type": "groundtruth/object-detection"},
            }
        ),
    ),
    "Open Images": (
        "openimages",
        "train-annotations-bbox.csv",
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\na,x,dog,1,0.1,0.3,0.1,0.4\n",
    ),
    "WIDER FACE": (
        "widerface",
        "wider_face_train_bbx_gt.txt",
        "0--Parade/a.jpg\n1\n20 10 40 30 0 0 0 0 0 0\n",
    ),
    "Create ML": (
        "createml",
        "_annotations.createml.json",
        json.dumps([{"image": "a.jpg", "annotations": [{"label": "dog", "coordinates": CENTRE}]}]),
    ),
    "VoTT": (
        "vott",
        "dogs-export.json",
        json.dumps(
            {
                "name": "dogs",
                "tags": [{"name": "dog", "color": "#5db300"}],
                "assets": {"1": {"asset": {"name": "a.jpg", "size": SIZE, "state": 2}, "regions": [VOTT]}},
            }
        ),
    ),
    "VoTT asset": (
        "vott",
        "0123-asset.json",
        json.dumps(
            {"asset": {"name": "a.jpg", "size": SIZE, "state": 2}, "regions": [VOTT], "version": "2.1.0"}
        ),
    ),
    "VoTT 1": (
        "vott",
        "v1.json",
        json.dumps(
            {
                "frames": {
                    "a.jpg": [
                        {"x1": 10, "y1": 5, "x2": 30, "y2": 20, "width": 100, "height": 50, "tags": ["dog"]}
                    ]
                },
                "inputTags": "dog",
            }
        ),
    ),
    "BDD100K": (
        "bdd100k",
        "bdd100k_labels_images_train.json",
        json.dumps([{"name": "a.jpg", "labels": BDD}]),
    ),
    "Scalabel": ("bdd100k", "det.json", json.dumps({"frames": [{"name": "a.jpg", "labels": BDD}]})),
    "BDD100K, one image": ("bdd100k", "a.json", json.dumps({"name": "a", "frames": [{"objects": BDD}]})),
    "Datumaro": (
        "datumaro",
        "default.json",
        json.dumps(
            {
                "info": {},
                "categories": {"label": {"labels": [{"name": "dog"}]}},
                "items": [
                    {
                        "id": "a",
                        "annotations": [{"type": "bbox", "label_id": 0, "bbox": [20, 10, 40, 30]}],
                        "image": {"path": "a.jpg", "size": [100, 200]},
                    }
                ],
            }
        ),
    ),
    "Datumaro polygon": (
        "datumaro",
        "default.json",
        json.dumps(
            {
                "categories": {"label": {"labels": [{"name": "dog"}]}},
                "items": [
                    {
                        "id": "a",
                        "annotations": [
                            {"type": "polygon", "label_id": 0, "points": [20, 10, 60, 10, 60, 40]}
                        ],
                    }
                ],
            }
        ),
    ),
    "Labelbox": (
        "labelbox",
        "export.ndjson",
        json.dumps(
            {
                "data_row": {"id": "1", "external_id": "a.jpg", "row_data": "https://x/y.jpg"},
                "media_attributes": SIZE,
                "projects": {
                    "p": {"labels": [{"annotations": {"objects": [{"name": "dog", "bounding_box": LTWH}]}}]}
                },
            }
        ),
    ),
    "Labelbox list": (
        "labelbox",
        "export.json",
        json.dumps([{"External ID": "a.jpg", "Label": {"objects": [{"title": "dog", "bbox": LTWH}]}}]),
    ),
    "COCO": (
        "coco",
        "instances.json",
        json.dumps(
            {
                "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 10, 40, 30]}],
                "images": [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 100}],
                "categories": [{"id": 1, "name": "dog"}],
            }
        ),
    ),
}
