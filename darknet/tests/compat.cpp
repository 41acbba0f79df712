// SPDX-License-Identifier: Apache-2.0
// Who owns what in the compatibility interface, for the sanitizers; its numbers are tested from Python.
#include <cstdlib>
#include <thread>

#include "darknet_compat.h"
#include "support.hpp"

using namespace dn::test;

namespace {

const char* kCfg =
    "[net]\nwidth=32\nheight=32\nchannels=3\nbatch=4\nsubdivisions=2\nunknown_key=1\n"
    "[convolutional]\nsize=1\nstride=8\nfilters=14\n"
    "[yolo]\nmask=0,1\nanchors=4,4,9,9\nclasses=2\nnum=2\n";

struct Loaded {
    TemporaryFolder folder;
    network* net;

    explicit Loaded(int batch = 1)
        : net(load_network_custom(folder.write("net.cfg", kCfg).data(), nullptr, 0, batch)) {}
    ~Loaded() {
        free_network_ptr(net);
        std::free(net);
    }
};

}  // namespace

TEST_CASE("compat: records, pairs, images and networks are freed by their calls or by free()") {
    Loaded loaded;
    REQUIRE(loaded.net);
    const image im = make_image(50, 20, 3);
    const image boxed = letterbox_image(im, 32, 32);
    CHECK(boxed.data[0] == 0.5f);
    CHECK(network_predict_image_letterbox(loaded.net, im) != nullptr);
    int count = 0;
    detection* dets = get_network_boxes(loaded.net, 50, 20, 0, .5f, nullptr, 0, &count, 1);
    CHECK(count == 4 * 4 * 2);
    do_nms_sort(dets, count, 99, .4f);
    do_nms_obj(dets, count, 1, .4f);
    diounms_sort(dets, count, 2, .4f, GREEDY_NMS, .6f);
    char name[] = "a", *names[] = {name, name};
    char* json = detection_to_json(dets, count, 2, names, 1, name);
    CHECK(json != nullptr);
    std::free(json);
    free_detections(dets, count);

    const std::vector<float> three(3 * 3 * 32 * 32, 0.5f);
    det_num_pair* pairs = network_predict_batch(loaded.net, {32, 32, 3, const_cast<float*>(three.data())}, 3, 50, 20, 0,
                                                .5f, nullptr, 1, 0);
    REQUIRE(pairs);
    CHECK(pairs[2].num == count);
    free_batch_detections(pairs, 3);
    dets = make_network_boxes(loaded.net, 0, &count);
    CHECK(count == 4 * 4 * 2);
    free_detections(dets, count);
    free_image(boxed);
    free_image(im);
}

TEST_CASE("compat: the batch is the cfg's, the caller's, and 1 after an image") {
    Loaded loaded(0);
    REQUIRE(loaded.net);
    const std::vector<float> planes(2 * 3 * 32 * 32, 0.25f);  // batch 4 in 2 subdivisions
    CHECK(network_predict_ptr(loaded.net, const_cast<float*>(planes.data())) != nullptr);
    CHECK(network_predict_image(loaded.net, {32, 32, 3, const_cast<float*>(planes.data())}) != nullptr);
    const std::vector<float> one(3 * 32 * 32, 0.25f);
    CHECK(network_predict_ptr(loaded.net, const_cast<float*>(one.data())) != nullptr);
    set_batch_network(loaded.net, 0);
    CHECK(contains(dn_last_error(), "found batch 0, expected 1 to 1024"));
}

TEST_CASE("compat: a thread's boxes are of its own prediction, which outlives neither the thread nor the network") {
    Loaded loaded;
    const std::vector<float> planes(3 * 32 * 32, 0.75f);
    const image im{32, 32, 3, const_cast<float*>(planes.data())};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int k = 0; k < 8; ++k) {
                int count = 0;
                network_predict_image(loaded.net, im);
                detection* dets = get_network_boxes(loaded.net, 1, 1, 0, 0, nullptr, 1, &count, 0);
                free_detections(dets, count);
            }
        });
    for (std::thread& thread : threads) thread.join();
    int count = 0;
    detection* dets = get_network_boxes(loaded.net, 1, 1, 0, 0, nullptr, 1, &count, 0);
    CHECK(count > 0);
    free_detections(dets, count);
    free_network_ptr(loaded.net);
    CHECK(get_network_boxes(loaded.net, 1, 1, 0, 0, nullptr, 1, &count, 0) == nullptr);
    CHECK(contains(dn_last_error(), "the network was freed"));
}

TEST_CASE("compat: damaged images and lists are refused") {
    std::uint8_t bytes[] = {0xff, 0xd8, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0};
    bbox_t_container found;
    CHECK(init("no.cfg", "no.weights", 0, 1) == 0);
    CHECK(detect_mat(bytes, sizeof bytes, &found) == -1);
    CHECK(detect_mat(nullptr, 5, &found) == -1);
    CHECK(detect_image("no.jpg", nullptr) == -1);
    CHECK(contains(dn_last_error(), "out is NULL"));
    CHECK(dispose() == 1);
    CHECK(crop_image({4, 4, 1, nullptr}, 0, 0, 2, 2).data == nullptr);
    CHECK(resize_min({0, 0, 3, nullptr}, 8).data == nullptr);
    CHECK(make_image(1 << 30, 1 << 30, 1 << 30).data == nullptr);
    free_ptrs(nullptr, 3);
}
