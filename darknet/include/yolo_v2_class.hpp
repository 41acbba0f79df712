// SPDX-License-Identifier: Apache-2.0
// The Detector class of Darknet's C++ header, over darknet_compat.h: programs written for it compile unchanged.
//
// It is source, not binary, compatible: recompile against this header and link libdarknet. Failures throw
// std::runtime_error. Not there: CUDA contexts, average over frames (use_mean is without effect), HTTP sending.
#ifndef YOLO_V2_CLASS_HPP
#define YOLO_V2_CLASS_HPP

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "darknet_compat.h"

#ifdef OPENCV
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#endif

class Detector {
public:
    float nms = .4f;
    bool wait_stream = false;  // without effect
    const int cur_gpu_id;

    Detector(std::string cfg_filename, std::string weight_filename, int gpu_id = 0, int batch_size = 1)
        : cur_gpu_id(gpu_id),
          net_(load_network_custom(&cfg_filename[0], &weight_filename[0], 1, batch_size), &Detector::unload) {
        if (!net_) fail();
        darknet_network_dimensions(net_.get(), &width_, &height_, &depth_);
    }
    virtual ~Detector() = default;

    std::vector<bbox_t> detect(std::string image_filename, float thresh = 0.2f, bool use_mean = false) {
        const std::shared_ptr<image_t> img = owned(load_image(image_filename));
        return detect(*img, thresh, use_mean);
    }

    // In pixels of the image. left and top are not below 0.
    std::vector<bbox_t> detect(image_t img, float thresh = 0.2f, bool /*use_mean*/ = false) {
        if (!network_predict_image(net_.get(), {img.w, img.h, img.c, img.data})) fail();
        int count = 0;
        detection* dets = get_network_boxes(net_.get(), img.w, img.h, thresh, .5f, nullptr, 1, &count, 0);
        if (!dets) fail();
        const std::vector<bbox_t> found = boxes(dets, count, img.w, img.h, thresh, nms);
        free_detections(dets, count);
        return found;
    }

    // img.data: batch_size images of the network's size, back to back; boxes are in pixels of width x height.
    std::vector<std::vector<bbox_t>> detectBatch(image_t img, int batch_size, int width, int height, float thresh,
                                                 bool make_nms = true) {
        det_num_pair* pairs = network_predict_batch(net_.get(), {img.w, img.h, img.c, img.data}, batch_size, width,
                                                    height, thresh, .5f, nullptr, 1, 0);
        if (!pairs) fail();
        std::vector<std::vector<bbox_t>> found;
        for (int i = 0; i < batch_size; ++i)
            found.push_back(boxes(pairs[i].dets, pairs[i].num, width, height, thresh, make_nms ? nms : 0));
        free_batch_detections(pairs, batch_size);
        return found;
    }

    // Boxes found in an image that was resized from init_w x init_h, in pixels of the original.
    std::vector<bbox_t> detect_resized(image_t img, int init_w, int init_h, float thresh = 0.2f,
                                       bool use_mean = false) {
        if (!img.data) throw std::runtime_error("Image is empty");
        std::vector<bbox_t> found = detect(img, thresh, use_mean);
        const float wide = static_cast<float>(init_w) / img.w, high = static_cast<float>(init_h) / img.h;
        for (bbox_t& b : found) {
            b.x = static_cast<unsigned int>(b.x * wide), b.w = static_cast<unsigned int>(b.w * wide);
            b.y = static_cast<unsigned int>(b.y * high), b.h = static_cast<unsigned int>(b.h * high);
        }
        return found;
    }

    static image_t load_image(std::string image_filename) {
        const image im = load_image_color(&image_filename[0], 0, 0);
        if (!im.data) fail();
        return {im.h, im.w, im.c, im.data};
    }
    static void free_image(image_t m) { ::free_image({m.w, m.h, m.c, m.data}); }

    int get_net_width() const { return width_; }
    int get_net_height() const { return height_; }
    int get_net_color_depth() const { return depth_; }
    void* get_cuda_context() { return nullptr; }

    // Gives each box the number of the nearest one of its class in the last frames, if its centre is not further
    // than max_dist pixels, or else the next number of the class, from 1.
    std::vector<bbox_t> tracking_id(std::vector<bbox_t> cur_bbox_vec, bool change_history = true, int frames_story = 5,
                                    int max_dist = 40) {
        for (std::size_t i = 0; i < cur_bbox_vec.size(); ++i) cur_bbox_vec[i].track_id = 0;
        for (const std::vector<bbox_t>& frame : history_)
            for (const bbox_t& known : frame) follow(known, cur_bbox_vec, static_cast<float>(max_dist));
        for (bbox_t& b : cur_bbox_vec)
            if (!b.track_id) b.track_id = next_number(b.obj_id, change_history);
        if (change_history) {
            history_.push_front(cur_bbox_vec);
            while (history_.size() > static_cast<std::size_t>(std::max(1, frames_story))) history_.pop_back();
        }
        return cur_bbox_vec;
    }

#ifdef OPENCV
    std::vector<bbox_t> detect(cv::Mat mat, float thresh = 0.2f, bool use_mean = false) {
        if (mat.empty()) throw std::runtime_error("Image is empty");
        return detect_resized(*mat_to_image_resize(mat), mat.cols, mat.rows, thresh, use_mean);
    }
    std::shared_ptr<image_t> mat_to_image_resize(cv::Mat mat) const {
        if (mat.empty()) return nullptr;
        cv::Mat fitted;
        cv::resize(mat, fitted, cv::Size(width_, height_));
        return mat_to_image(fitted);
    }
    static std::shared_ptr<image_t> mat_to_image(cv::Mat mat) {
        if (mat.empty() || mat.depth() != CV_8U) return nullptr;
        cv::Mat plain = mat.isContinuous() ? mat : mat.clone();
        image im = make_image(plain.cols, plain.rows, plain.channels());
        if (!im.data) fail();
        copy_image_from_bytes(im, reinterpret_cast<char*>(plain.data));
        if (im.c >= 3) rgbgr_image(im);
        return owned({im.h, im.w, im.c, im.data});
    }
#endif

private:
    static void unload(network* net) {
        free_network_ptr(net);
        std::free(net);
    }
    [[noreturn]] static void fail() { throw std::runtime_error(dn_last_error()); }
    static std::shared_ptr<image_t> owned(image_t img) {
        return {new image_t(img), [](image_t* kept) {
                    free_image(*kept);
                    delete kept;
                }};
    }
    static unsigned int pixel(float value) { return static_cast<unsigned int>(std::min(std::max(value, 0.f), 1e9f)); }

    static std::vector<bbox_t> boxes(detection* dets, int count, int w, int h, float thresh, float nms) {
        std::vector<bbox_t> found;
        if (nms > 0 && count > 0) do_nms_sort(dets, count, dets[0].classes, nms);
        for (int i = 0; i < count; ++i) {
            const box& b = dets[i].bbox;
            const float* best = std::max_element(dets[i].prob, dets[i].prob + dets[i].classes);
            if (!(*best > thresh)) continue;
            bbox_t out{};
            out.x = pixel((b.x - b.w / 2) * w), out.y = pixel((b.y - b.h / 2) * h);
            out.w = pixel(b.w * w), out.h = pixel(b.h * h);
            out.prob = *best;
            out.obj_id = static_cast<unsigned int>(best - dets[i].prob);
            found.push_back(out);
        }
        return found;
    }

    static void follow(const bbox_t& known, std::vector<bbox_t>& boxes, float max_dist) {
        bbox_t* nearest = nullptr;
        for (bbox_t& b : boxes) {
            if (b.track_id == known.track_id && b.obj_id == known.obj_id) return;  // followed already
            if (b.track_id || b.obj_id != known.obj_id) continue;
            const float distance =
                std::hypot(b.x + b.w / 2.f - known.x - known.w / 2.f, b.y + b.h / 2.f - known.y - known.h / 2.f);
            if (distance < max_dist) nearest = &b, max_dist = distance;
        }
        if (nearest) nearest->track_id = known.track_id;
    }

    unsigned int next_number(unsigned int obj_id, bool keep) {
        if (numbers_.size() <= obj_id) numbers_.resize(obj_id + 1, 1);
        return keep ? numbers_[obj_id]++ : numbers_[obj_id];
    }

    std::shared_ptr<network> net_;
    int width_ = 0, height_ = 0, depth_ = 0;
    std::deque<std::vector<bbox_t>> history_;
    std::vector<unsigned int> numbers_;  // the next one, per class
};

#endif
