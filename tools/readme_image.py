# SPDX-License-Identifier: Apache-2.0
"""Draw the README's image: detections in three free photographs that ship with scikit-image.

    pip install scikit-image
    python tools/readme_image.py yolo-fastest-1.1-xl.cfg yolo-fastest-1.1-xl.weights coco.names

The photographs: Eileen Collins (NASA, public domain), Chelsea the cat and a cup of coffee (CC0).
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from skimage import data

import pydarknet

HEIGHT = 320


def main(cfg: str, weights: str, names: str) -> None:
    pictures = []
    with pydarknet.Network(cfg, weights, names=names) as net:
        for photograph in (data.astronaut(), data.chelsea(), data.coffee()):
            image = np.ascontiguousarray(photograph[:, :, ::-1])
            drawn = net.detect(image, thresh=0.6).plot(image)
            pictures.append(cv2.resize(drawn, (drawn.shape[1] * HEIGHT // drawn.shape[0], HEIGHT)))
    out = Path(__file__).parents[1] / "docs" / "images" / "detections.jpg"
    cv2.imwrite(str(out), np.hstack(pictures), [cv2.IMWRITE_JPEG_QUALITY, 80])
    print(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
