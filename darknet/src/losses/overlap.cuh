// SPDX-License-Identifier: Apache-2.0
// Overlap metrics for training and their gradients as Darknet has them (GIoU: arXiv 1902.09630, DIoU and CIoU:
// arXiv 1911.08287; where Darknet deviates from the papers the deviation is kept, for it shapes trained models).
#pragma once

#include "box.cuh"

namespace dn {

struct BoxGradient {
    float x, y, w, h;
};

constexpr float kPi = 3.14159265358979323846f;
constexpr float kDiouExponent = 0.6f;

struct Edges {
    float l, r, t, b;
};

DN_DEVICE Edges edges_of(Box box) {
    return {box.x - box.w / 2, box.x + box.w / 2, box.y - box.h / 2, box.y + box.h / 2};
}

// Sides of the smallest box around both.
struct Enclosing {
    float w, h, area;
};

DN_DEVICE Enclosing enclosing_of(const Edges& p, const Edges& q) {
    const float w = larger(p.r, q.r) - smaller(p.l, q.l), h = larger(p.b, q.b) - smaller(p.t, q.t);
    return {w, h, w * h};
}

DN_DEVICE float diagonal_of(const Enclosing& c) { return c.w * c.w + c.h * c.h; }

DN_DEVICE float centre_distance(Box a, Box b) { return (a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y); }

DN_DEVICE float angle_difference(Box prediction, Box truth) {
    return atanf(truth.w / truth.h) - atanf(prediction.w / prediction.h);
}

DN_DEVICE float giou(Box a, Box b) {
    const Edges p = edges_of(a), q = edges_of(b);
    const Enclosing c = enclosing_of(p, q);
    if (c.area == 0) return iou(a, b);
    const float iw = smaller(p.r, q.r) - larger(p.l, q.l), ih = smaller(p.b, q.b) - larger(p.t, q.t);
    const float u = a.w * a.h + b.w * b.h - (iw < 0 || ih < 0 ? 0 : iw * ih);
    return iou(a, b) - (c.area - u) / c.area;
}

DN_DEVICE float ciou(Box prediction, Box truth) {
    const float diagonal = diagonal_of(enclosing_of(edges_of(prediction), edges_of(truth)));
    const float value = iou(prediction, truth);
    if (diagonal == 0) return value;
    const float m = angle_difference(prediction, truth);
    const float v = 4 / (kPi * kPi) * m * m;
    const float alpha = v / (1 - value + v + 1e-6f);
    return value - (centre_distance(prediction, truth) / diagonal + alpha * v);
}

// mse: plain IoU.
DN_DEVICE float overlap(IouKind kind, Box prediction, Box truth) {
    if (kind == IouKind::giou) return giou(prediction, truth);
    if (kind == IouKind::diou) return diou(prediction, truth, kDiouExponent);
    if (kind == IouKind::ciou) return ciou(prediction, truth);
    return iou(prediction, truth);
}

// What the gradient with respect to an edge depends on: intersection, union and enclosing area.
struct Areas {
    float i, u, a;
    bool with_enclosing, disjoint;
};

// d(I/U), plus for GIoU d(U/A), with respect to one edge of the prediction, with which its own area, the intersection
// and the enclosing area move as given.
DN_DEVICE float edge_gradient(const Areas& areas, float area, float intersection, float enclosing) {
    const float i = areas.i, u = areas.u, a = areas.a;
    const float du = area - intersection;
    float q = u > 0 ? (u * intersection - i * du) / (u * u) : 0;
    if (areas.with_enclosing && a > 0) {
        const float g = (a * du - u * enclosing) / (a * a);
        q = areas.disjoint ? g : q + g;
    }
    return q;
}

// The distance term of DIoU and CIoU. The second term of x and y has Darknet's sign, not the derivative's.
DN_DEVICE BoxGradient distance_gradient(const Edges& p, const Edges& q, Box prediction, Box truth, const Enclosing& c) {
    const float diagonal = diagonal_of(c), s = centre_distance(prediction, truth), scale = diagonal * diagonal;
    const float right = p.r > q.r, left = p.l<q.l, bottom = p.b> q.b, top = p.t < q.t;
    return {(2 * (truth.x - prediction.x) * diagonal - 2 * c.w * (right - left) * s) / scale,
            (2 * (truth.y - prediction.y) * diagonal - 2 * c.h * (bottom - top) * s) / scale,
            2 * c.w * 0.5f * (right + left) * s / scale, 2 * c.h * 0.5f * (bottom + top) * s / scale};
}

// The aspect term of CIoU; the 1/(w^2 + h^2) of the paper is absent, as in Darknet.
DN_DEVICE void add_aspect_gradient(Box prediction, Box truth, float iou_value, BoxGradient& g) {
    const float m = angle_difference(prediction, truth);
    const float v = 4 / (kPi * kPi) * m * m;
    const float alpha = v / (1 - iou_value + v + 1e-6f);
    g.w += alpha * 8 / (kPi * kPi) * m * prediction.h;
    g.h -= alpha * 8 / (kPi * kPi) * m * prediction.w;
}

// d(metric)/d(prediction), without the factors of the box decoding.
DN_DEVICE BoxGradient iou_gradient(IouKind kind, Box prediction, Box truth) {
    const Edges p = edges_of(prediction), q = edges_of(truth);
    const Enclosing c = enclosing_of(p, q);
    const float iw = smaller(p.r, q.r) - larger(p.l, q.l), ih = smaller(p.b, q.b) - larger(p.t, q.t);
    const float i = iw * ih;
    const float u = prediction.w * prediction.h + truth.w * truth.h - i;
    const Areas areas{i, u, c.area, kind == IouKind::giou, iw <= 0 || ih <= 0};
    const float left = edge_gradient(areas, -prediction.h, p.l > q.l ? -ih : 0, p.l < q.l ? -c.h : 0);
    const float right = edge_gradient(areas, +prediction.h, p.r < q.r ? +ih : 0, p.r > q.r ? +c.h : 0);
    const float top = edge_gradient(areas, -prediction.w, p.t > q.t ? -iw : 0, p.t < q.t ? -c.w : 0);
    const float bottom = edge_gradient(areas, +prediction.w, p.b < q.b ? +iw : 0, p.b > q.b ? +c.w : 0);
    const float l = p.l == p.r ? right : left, t = p.t == p.b ? bottom : top;
    const BoxGradient g{l + right, t + bottom, right - l, bottom - t};
    if ((kind != IouKind::diou && kind != IouKind::ciou) || diagonal_of(c) <= 0) return g;

    BoxGradient extra = distance_gradient(p, q, prediction, truth, c);
    if (kind == IouKind::ciou) add_aspect_gradient(prediction, truth, i / u, extra);
    if (areas.disjoint) return extra;
    return {g.x + extra.x, g.y + extra.y, g.w + extra.w, g.h + extra.h};
}

}  // namespace dn
