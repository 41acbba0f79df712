// SPDX-License-Identifier: Apache-2.0
// Published weights files, by their sizes alone, against published networks: right pairs load, wrong pairs are named.
// The files are sparse, so that hundreds of megabytes take no room; the networks come from the big fixtures.
#include "support.hpp"
#include "weights.hpp"
#include "weights_layout.hpp"

using namespace dn;
using namespace dn::test;

namespace {

struct Published {
    const char* name;
    std::uint64_t floats;
};

constexpr Published kFiles[] = {
    {"yolov4.conv.137", 42509664},    {"yolov4.weights", 64429405},      {"yolov4-tiny.conv.29", 4947424},
    {"yolov4-tiny.weights", 6062814}, {"darknet53.conv.74", 40620640},   {"yolov3.weights", 62001757},
    {"yolov3-tiny.conv.11", 1575792}, {"yolov3-tiny.weights", 8858734},  {"yolov4-csp.conv.142", 36637024},
    {"yolov4-csp.weights", 52986205}, {"csresnext50.conv.112", 35077824}};

struct Right {
    const char* cfg;
    const char* file;
    int layers;
};

constexpr Right kRight[] = {
    {"yolov4", "yolov4.conv.137", 137},
    {"yolov4", "yolov4.weights", 162},
    {"yolov4-tiny", "yolov4-tiny.conv.29", 29},
    {"yolov4-tiny", "yolov4-tiny.weights", 38},
    {"yolov4-tiny-3l", "yolov4-tiny.conv.29", 29},
    {"yolov4-tiny-3l", "yolov4-tiny.weights", 37},
    {"yolov3-spp", "darknet53.conv.74", 74},
    {"yolov3-tiny", "yolov3-tiny.conv.11", 11},
    {"yolov3-tiny", "yolov3-tiny.weights", 24},
    {"yolov4-csp", "yolov4-csp.conv.142", 142},
    {"yolov4-csp", "yolov4-csp.weights", 175},
    {"csresnext50-panet-spp", "csresnext50.conv.112", 112},
};

// Layers of a right pair; 0 for a wrong one.
int expected_layers(const std::string& cfg, const std::string& file) {
    for (const Right& right : kRight)
        if (cfg == right.cfg && file == right.file) return right.layers;
    return 0;
}

Graph zoo(const std::string& name) { return build_graph(read_cfg(fixtures("zoo/" + name + ".cfg")), false); }

// Error of the reader for a file of that many floats; the layer count if it accepts the file.
std::string verdict(const Graph& graph, std::uint64_t floats, int& layers) {
    return error_of(Status::weights, [&] { layers = layers_covered(graph, layout_to_read(graph), floats, "file"); });
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
    return text;
}

bool skipped() {
    if (!fixtures("zoo").empty()) return false;
    const char* required = std::getenv("PYDARKNET_TESTS_REQUIRE");  // see tests/required.py
    if (required && contains(required, "fixtures")) FAIL("the big fixtures are not here; set PYDARKNET_FIXTURES");
    MESSAGE("skipped: the big fixtures are not here; set PYDARKNET_FIXTURES");
    return true;
}

}  // namespace

TEST_CASE("published files: every right pair is accepted and every wrong one refused") {
    if (skipped()) return;
    for (const char* cfg : {"yolov4", "yolov4-tiny", "yolov4-tiny-3l", "yolov3-spp", "yolov3-tiny", "yolov4-csp",
                            "csresnext50-panet-spp"}) {
        const Graph graph = zoo(cfg);
        for (const Published& file : kFiles) {
            CAPTURE(cfg);
            CAPTURE(file.name);
            int layers = 0;
            const std::string message = verdict(graph, file.floats, layers);
            CHECK(layers == expected_layers(cfg, file.name));
            if (layers == 0) CHECK((contains(message, "ends inside layer ") || contains(message, " more than the ")));
        }
    }
}

TEST_CASE("published files: wrong pairs are described as they were measured") {
    if (skipped()) return;
    int layers = 0;
    CHECK_CONTAINS(verdict(zoo("yolov4"), 40620640, layers), "ends inside layer 125 (");
    CHECK_CONTAINS(verdict(zoo("yolov4"), 40620640, layers), "after 15.5 % of the layer");
    CHECK_CONTAINS(verdict(zoo("yolov3-spp"), 42509664, layers), "ends inside layer 76 (");
    CHECK_CONTAINS(verdict(zoo("yolov3-spp"), 42509664, layers), "after 28.9 % of the layer");
}

TEST_CASE("published files: a file of another class count is recognised, too long or too short") {
    if (skipped()) return;
    // Parameters as a function of the classes c: base + step * (c + 5).
    struct Family {
        const char* cfg;
        std::uint64_t base, step;
    };
    for (const Family& family : {Family{"yolov4", 63971680, 5385}, Family{"yolov4-tiny", 5866464, 2310},
                                 Family{"yolov4-tiny-3l", 6104800, 2697}, Family{"yolov3-tiny", 8662384, 2310}}) {
        CAPTURE(family.cfg);
        const auto count = [&](int classes) { return family.base + family.step * (classes + 5); };
        const std::string text = read_file(fixtures(std::string("zoo/") + family.cfg + ".cfg"), 1 << 20);
        const Graph eighty = build_graph(parse_cfg(text, "80.cfg"), false);
        const Graph ten = build_graph(
            parse_cfg(replaced(replaced(text, "classes=80", "classes=10"), "filters=255", "filters=45"), "10.cfg"),
            false);
        int layers = 0;
        CHECK(verdict(eighty, count(80), layers).empty());
        CHECK(verdict(ten, count(10), layers).empty());
        CHECK_CONTAINS(verdict(ten, count(80), layers), "floats, ");
        CHECK_CONTAINS(verdict(ten, count(80), layers), "Its size fits this network with classes=80 exactly");
        CHECK_CONTAINS(verdict(eighty, count(10), layers), "ends inside layer ");
        CHECK_CONTAINS(verdict(eighty, count(10), layers), "Its size fits this network with classes=10 exactly");
        CHECK_FALSE(contains(verdict(eighty, count(10) + 1, layers), "classes="));
    }
}

TEST_CASE("published files: sparse files of the right size are read whole, and of the wrong size not at all") {
    if (skipped()) return;
    const TemporaryFolder folder;
    const Graph graph = zoo("yolov4");
    const std::string path = folder.write("x.weights", std::string("\0\0\0\0\2\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0", 20));
    Parameters parameters;
    std::filesystem::resize_file(path, 170038676);  // yolov4.conv.137
    CHECK(read_weights(path, graph, parameters).layers_loaded == 137);
    std::filesystem::resize_file(path, 257717640);  // yolov4.weights
    const WeightsReport report = read_weights(path, graph, parameters);
    CHECK(report.layers_loaded == 162);
    CHECK(report.floats == 64429405);
    std::filesystem::resize_file(path, 162482580);  // darknet53.conv.74
    CHECK_CONTAINS(error_of(Status::weights, [&] { read_weights(path, graph, parameters); }),
                   "ends inside layer 125 (");
}
