// SPDX-License-Identifier: Apache-2.0
#include "iou.hpp"

#include <algorithm>
#include <cmath>

namespace dn {
namespace {

constexpr float kPi = 3.14159265358979323846f;
constexpr float kDiouExponent = 0.6f;

struct Edges {
    float l, r, t, b;
    explicit Edges(Box box) : l(box.x - box.w / 2), r(box.x + box.w / 2), t(box.y - box.h / 2), b(box.y + box.h / 2) {}
};

struct Enclosing {
    float w, h;
    Enclosing(const Edges& p, const Edges& q)
        : w(std::max(p.r, q.r) - std::min(p.l, q.l)), h(std::max(p.b, q.b) - std::min(p.t, q.t)) {}
    float area() const { return w * h; }
    float diagonal() const { return w * w + h * h; }
};

float centre_distance(Box a, Box b) { return (a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y); }

float angle_difference(Box prediction, Box truth) {
    return std::atan(truth.w / truth.h) - std::atan(prediction.w / prediction.h);
}

// One edge of the prediction: how X (its area), I (intersection) and A (enclosing area) move with it.
struct EdgePartials {
    float area, intersection, enclosing;
};

struct EdgeGradients {
    float l, r, t, b;
};

struct Partials {
    EdgePartials l, r, t, b;
};

Partials edge_partials(const Edges& p, const Edges& q, Box prediction, float iw, float ih, const Enclosing& c) {
    return {{-prediction.h, p.l > q.l ? -ih : 0, p.l < q.l ? -c.h : 0},
            {+prediction.h, p.r < q.r ? +ih : 0, p.r > q.r ? +c.h : 0},
            {-prediction.w, p.t > q.t ? -iw : 0, p.t < q.t ? -c.w : 0},
            {+prediction.w, p.b < q.b ? +iw : 0, p.b > q.b ? +c.w : 0}};
}

// d(I/U), plus for GIoU d(U/A), with respect to one edge.
float edge_gradient(const EdgePartials& d, float i, float u, float a, bool with_enclosing, bool disjoint) {
    const float du = d.area - d.intersection;
    float q = u > 0 ? (u * d.intersection - i * du) / (u * u) : 0;
    if (with_enclosing && a > 0) {
        const float g = (a * du - u * d.enclosing) / (a * a);
        q = disjoint ? g : q + g;
    }
    return q;
}

EdgeGradients edge_gradients(IouKind kind, const Edges& p, const Edges& q, Box prediction, float iw, float ih, float u,
                             const Enclosing& c) {
    const Partials d = edge_partials(p, q, prediction, iw, ih, c);
    const bool enclosing = kind == IouKind::giou, disjoint = iw <= 0 || ih <= 0;
    const float i = iw * ih;
    EdgeGradients g{edge_gradient(d.l, i, u, c.area(), enclosing, disjoint),
                    edge_gradient(d.r, i, u, c.area(), enclosing, disjoint),
                    edge_gradient(d.t, i, u, c.area(), enclosing, disjoint),
                    edge_gradient(d.b, i, u, c.area(), enclosing, disjoint)};
    if (p.t == p.b) g.t = g.b;
    if (p.l == p.r) g.l = g.r;
    return g;
}

// The distance term of DIoU and CIoU. The second term of x and y has Darknet's sign, not the derivative's.
BoxGradient distance_gradient(const Edges& p, const Edges& q, Box prediction, Box truth, const Enclosing& c) {
    const float diagonal = c.diagonal(), s = centre_distance(prediction, truth), scale = diagonal * diagonal;
    const float right = p.r > q.r, left = p.l<q.l, bottom = p.b> q.b, top = p.t < q.t;
    return {(2 * (truth.x - prediction.x) * diagonal - 2 * c.w * (right - left) * s) / scale,
            (2 * (truth.y - prediction.y) * diagonal - 2 * c.h * (bottom - top) * s) / scale,
            2 * c.w * 0.5f * (right + left) * s / scale, 2 * c.h * 0.5f * (bottom + top) * s / scale};
}

// The aspect term of CIoU; the 1/(w^2 + h^2) of the paper is absent, as in Darknet.
void add_aspect_gradient(Box prediction, Box truth, float iou_value, BoxGradient& g) {
    const float m = angle_difference(prediction, truth);
    const float v = 4 / (kPi * kPi) * m * m;
    const float alpha = v / (1 - iou_value + v + 1e-6f);
    g.w += alpha * 8 / (kPi * kPi) * m * prediction.h;
    g.h -= alpha * 8 / (kPi * kPi) * m * prediction.w;
}

}  // namespace

float giou(Box a, Box b) {
    const Enclosing c{Edges(a), Edges(b)};
    if (c.area() == 0) return iou(a, b);
    const Edges p(a), q(b);
    const float iw = std::min(p.r, q.r) - std::max(p.l, q.l), ih = std::min(p.b, q.b) - std::max(p.t, q.t);
    const float u = a.w * a.h + b.w * b.h - (iw < 0 || ih < 0 ? 0 : iw * ih);
    return iou(a, b) - (c.area() - u) / c.area();
}

float ciou(Box prediction, Box truth) {
    const float diagonal = Enclosing{Edges(prediction), Edges(truth)}.diagonal();
    const float value = iou(prediction, truth);
    if (diagonal == 0) return value;
    const float m = angle_difference(prediction, truth);
    const float v = 4 / (kPi * kPi) * m * m;
    const float alpha = v / (1 - value + v + 1e-6f);
    return value - (centre_distance(prediction, truth) / diagonal + alpha * v);
}

float overlap(IouKind kind, Box prediction, Box truth) {
    switch (kind) {
        case IouKind::giou:
            return giou(prediction, truth);
        case IouKind::diou:
            return diou(prediction, truth, kDiouExponent);
        case IouKind::ciou:
            return ciou(prediction, truth);
        default:
            return iou(prediction, truth);
    }
}

BoxGradient iou_gradient(IouKind kind, Box prediction, Box truth) {
    const Edges p(prediction), q(truth);
    const Enclosing c(p, q);
    const float iw = std::min(p.r, q.r) - std::max(p.l, q.l), ih = std::min(p.b, q.b) - std::max(p.t, q.t);
    const float u = prediction.w * prediction.h + truth.w * truth.h - iw * ih;
    const EdgeGradients e = edge_gradients(kind, p, q, prediction, iw, ih, u, c);
    BoxGradient g{e.l + e.r, e.t + e.b, e.r - e.l, e.b - e.t};
    if ((kind != IouKind::diou && kind != IouKind::ciou) || c.diagonal() <= 0) return g;

    BoxGradient extra = distance_gradient(p, q, prediction, truth, c);
    if (kind == IouKind::ciou) add_aspect_gradient(prediction, truth, iw * ih / u, extra);
    if (iw <= 0 || ih <= 0) return extra;
    return {g.x + extra.x, g.y + extra.y, g.w + extra.w, g.h + extra.h};
}

}  // namespace dn
