// SPDX-License-Identifier: Apache-2.0
// A program over the Detector class, as people wrote them for yolo_v2_class.hpp.
// usage: client CFG WEIGHTS PLANES W H C THRESH; prints "class prob x y w h" lines, corner form, in pixels.
#include <yolo_v2_class.hpp>

#include <fstream>
#include <iostream>

namespace {

int tracking(Detector& detector) {
    const auto at = [](unsigned x, unsigned y, unsigned id) {
        bbox_t b{};
        b.x = x, b.y = y, b.w = b.h = 10, b.obj_id = id;
        return b;
    };
    std::vector<bbox_t> first = detector.tracking_id({at(10, 10, 0), at(200, 200, 0), at(10, 10, 1)});
    if (first[0].track_id != 1 || first[1].track_id != 2 || first[2].track_id != 1) return 1;
    std::vector<bbox_t> second = detector.tracking_id({at(190, 205, 0), at(15, 12, 0), at(120, 10, 1)});
    if (second[0].track_id != 2 || second[1].track_id != 1 || second[2].track_id != 2) return 2;
    return 0;
}

void print(const std::vector<bbox_t>& boxes) {
    for (const bbox_t& b : boxes)
        std::cout << b.obj_id << ' ' << b.prob << ' ' << b.x << ' ' << b.y << ' ' << b.w << ' ' << b.h << '\n';
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 8) return 64;
    try {
        Detector missing("no.cfg", argv[2]);
        return 65;
    } catch (const std::runtime_error& error) {
        if (std::string(error.what()).find("no.cfg") == std::string::npos) return 66;
    }
    Detector detector(argv[1], argv[2]);
    if (const int failed = tracking(detector)) return failed;
    image_t img{std::atoi(argv[5]), std::atoi(argv[4]), std::atoi(argv[6]), nullptr};
    std::vector<float> planes(static_cast<std::size_t>(img.w) * img.h * img.c);
    std::ifstream(argv[3], std::ios::binary)
        .read(reinterpret_cast<char*>(planes.data()), static_cast<std::streamsize>(planes.size() * sizeof(float)));
    img.data = planes.data();
    const std::vector<bbox_t> found = detector.detect(img, static_cast<float>(std::atof(argv[7])));
    print(found);
    // A batch of the same image twice finds the same twice.
    image fitted = resize_image({img.w, img.h, img.c, img.data}, detector.get_net_width(), detector.get_net_height());
    std::vector<float> twice(fitted.data, fitted.data + static_cast<std::size_t>(fitted.w) * fitted.h * fitted.c);
    twice.insert(twice.end(), twice.begin(), twice.end());
    free_image(fitted);
    const auto batch = detector.detectBatch({detector.get_net_height(), detector.get_net_width(), 3, twice.data()}, 2,
                                            img.w, img.h, static_cast<float>(std::atof(argv[7])));
    return batch.size() == 2 && batch[0].size() == found.size() && batch[1].size() == found.size() ? 0 : 3;
}
