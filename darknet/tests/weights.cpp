// SPDX-License-Identifier: Apache-2.0
// Weights files: the place of every array, both headers, and the refusal of everything that does not fit exactly.
#include "weights.hpp"

#include <cmath>
#include <limits>
#include <numeric>

#include "support.hpp"
#include "weights_layout.hpp"

using namespace dn;
using namespace dn::test;

namespace {

const std::string kNet = "[net]\nwidth=8\nheight=8\nchannels=2\n";
// 3 + 9 + 3*2*9 = 66 floats, and 2 + 2*3 = 8.
const std::string kTwo = kNet +
                         "[convolutional]\nbatch_normalize=1\nfilters=3\nsize=3\npad=1\n[maxpool]\n"
                         "[convolutional]\nfilters=2\n[maxpool]\n";

std::string header(std::int32_t major, std::int32_t minor, std::uint64_t seen, bool wide) {
    const std::int32_t version[] = {major, minor, 5};
    std::string out(reinterpret_cast<const char*>(version), sizeof version);
    return out + std::string(reinterpret_cast<const char*>(&seen), wide ? 8 : 4);
}

std::string floats(const std::vector<float>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// 1, 2, 3, ...: each array then says where in the file it stood.
std::vector<float> counting(std::size_t count) {
    std::vector<float> values(count);
    std::iota(values.begin(), values.end(), 1.0f);
    return values;
}

std::string file_of(const TemporaryFolder& folder, const std::vector<float>& values) {
    return folder.write("x.weights", header(0, 2, 64000, true) + floats(values));
}

struct Loaded {
    Loaded(const Graph& graph, const std::string& path) : report(read_weights(path, graph, parameters)) {}
    Parameters parameters;
    WeightsReport report;
};

Loaded load(const Graph& graph, const std::string& path) { return Loaded(graph, path); }

std::string load_error(const std::string& cfg, const std::string& content, Status status = Status::weights) {
    const TemporaryFolder folder;
    const Graph graph = graph_of(cfg);
    const std::string path = folder.write("x.weights", content);
    const std::string message = error_of(status, [&] { load(graph, path); });
    CHECK_CONTAINS(message, "x.weights: ");
    return message;
}

std::string floats_error(const std::string& cfg, const std::vector<float>& values) {
    return load_error(cfg, header(0, 2, 0, true) + floats(values));
}

Floats range(int first, int count) {
    Floats out(count);
    std::iota(out.begin(), out.end(), static_cast<float>(first));
    return out;
}

}  // namespace

TEST_CASE("weights: arrays of every layer stand in Darknet's order") {
    const TemporaryFolder folder;
    const Graph graph = graph_of(kNet +
                                 "[convolutional]\nbatch_normalize=1\nfilters=4\ngroups=2\nsize=3\npad=1\n"  // 4x4+36
                                 "[convolutional]\nfilters=4\nsize=1\n"                                      // 4+16
                                 "[shortcut]\nfrom=-2\nweights_type=per_channel\nweights_normalization=relu\n"  // 8
                                 "[batchnorm]\n"                                                                // 16
                                 "[connected]\nbatch_normalize=1\noutput=2\n"  // 2+512+6
                                 "[implicit]\nfilters=3\natoms=2\n");          // 6
    const Loaded loaded = load(graph, file_of(folder, counting(52 + 20 + 8 + 16 + 520 + 6)));
    const auto& nodes = loaded.parameters.nodes;
    CHECK(loaded.report.floats == 622);
    CHECK(loaded.report.layers_loaded == 6);
    CHECK(nodes[0].biases == range(1, 4));
    CHECK(nodes[0].scales == range(5, 4));
    CHECK(nodes[0].means == range(9, 4));
    CHECK(nodes[0].variances == range(13, 4));
    CHECK(nodes[0].weights == range(17, 36));
    CHECK(nodes[1].biases == range(53, 4));
    CHECK(nodes[1].scales.empty());
    CHECK(nodes[1].weights == range(57, 16));
    CHECK(nodes[2].weights == range(73, 8));
    CHECK(nodes[3].biases == range(81, 4));
    CHECK(nodes[3].scales == range(85, 4));
    CHECK(nodes[3].means == range(89, 4));
    CHECK(nodes[3].variances == range(93, 4));
    CHECK(nodes[4].biases == range(97, 2));
    CHECK(nodes[4].weights == range(99, 512));
    CHECK(nodes[4].scales == range(611, 2));
    CHECK(nodes[4].variances == range(615, 2));
    CHECK(nodes[5].weights == range(617, 6));
}

TEST_CASE("weights: the header has 20 bytes from version 0.2 on and 16 before") {
    const TemporaryFolder folder;
    const Graph graph = graph_of(kTwo);
    const std::uint64_t seen = (std::uint64_t{1} << 32) + 7;
    const Loaded wide = load(graph, folder.write("a", header(0, 2, seen, true) + floats(counting(74))));
    CHECK(wide.report.seen == seen);
    CHECK(wide.parameters.seen == seen);
    CHECK(wide.report.minor == 2);
    CHECK(wide.report.revision == 5);
    const Loaded narrow = load(graph, folder.write("b", header(0, 1, 32013312, false) + floats(counting(74))));
    CHECK(narrow.report.seen == 32013312);
    CHECK(narrow.parameters.nodes[0].biases == range(1, 3));
    CHECK(load(graph, folder.write("c", header(1, 0, seen, true) + floats(counting(74)))).report.seen == seen);
}

TEST_CASE("weights: transposed files and flipped convolutions are turned round") {
    const TemporaryFolder folder;
    const Graph connected = graph_of("[net]\nwidth=1\nheight=1\nchannels=3\n[connected]\noutput=2\n");
    // 2 biases, then (in 3, out 2): 3 4 | 5 6 | 7 8.
    const std::string path = folder.write("t", header(1001, 0, 0, true) + floats(counting(8)));
    CHECK(load(connected, path).parameters.nodes[0].weights == Floats{3, 5, 7, 4, 6, 8});
    const std::string plain = folder.write("p", header(0, 2, 0, true) + floats(counting(8)));
    CHECK(load(connected, plain).parameters.nodes[0].weights == range(3, 6));

    const Graph flipped = graph_of("[net]\nwidth=4\nheight=4\nchannels=3\n[convolutional]\nfilters=2\nflipped=1\n");
    const Loaded loaded = load(flipped, plain);
    CHECK(loaded.parameters.nodes[0].weights == Floats{3, 5, 7, 4, 6, 8});
    write_weights(folder.file("back"), flipped, loaded.parameters, -1);
    CHECK(load(flipped, folder.file("back")).parameters.nodes[0].weights == Floats{3, 5, 7, 4, 6, 8});
}

TEST_CASE("weights: a layer that shares another's weights has none in the file") {
    const TemporaryFolder folder;
    const Graph graph = graph_of(kNet + "[convolutional]\nfilters=2\n[convolutional]\nfilters=2\nshare_index=0\n");
    const Loaded loaded = load(graph, file_of(folder, counting(6)));
    CHECK(loaded.parameters.nodes[1].weights.empty());
    CHECK(&loaded.parameters.of(graph, 1) == &loaded.parameters.nodes[0]);
}

TEST_CASE("weights: dontload and dontloadscales leave bytes to the next layer") {
    const TemporaryFolder folder;
    const std::string conv = "[convolutional]\nbatch_normalize=1\nfilters=2\n";  // 2 + 6 + 4
    const Graph skip = graph_of(kNet + conv + "dontload=1\n" + conv);
    const Loaded skipped = load(skip, file_of(folder, counting(12)));
    CHECK(skipped.parameters.nodes[0].biases.empty());
    CHECK(skipped.parameters.nodes[1].biases == range(1, 2));
    const Graph no_scales = graph_of(kNet + conv + "dontloadscales=1\n");
    const Loaded loaded = load(no_scales, file_of(folder, counting(6)));
    CHECK(loaded.parameters.nodes[0].weights == range(3, 4));
    CHECK(loaded.parameters.nodes[0].scales.empty());
    CHECK_CONTAINS(floats_error(kNet + conv + "dontload=1\n" + conv, counting(24)),
                   "holds 24 floats, 12 more than the 12 of net.cfg. It also holds the layers or arrays marked "
                   "dontload and dontloadscales: remove these keys to read it.");
}

TEST_CASE("weights: a file that ends behind a layer is partial, and the rest keeps its start") {
    const TemporaryFolder folder;
    const Graph graph = graph_of(kTwo);
    WeightsReport report;
    const auto parameters = load_parameters(graph, file_of(folder, counting(66)), report);
    CHECK(report.layers_loaded == 1);
    CHECK(report.layers_total == 4);
    CHECK(parameters->nodes[0].weights == range(13, 54));
    REQUIRE(parameters->nodes[2].weights.size() == 6);
    CHECK(parameters->nodes[2].weights == initial_parameters(graph, 0)->nodes[2].weights);
}

TEST_CASE("weights: a file that ends inside a layer is refused, with the layer, the array and how far") {
    CHECK_CONTAINS(
        floats_error(kTwo, counting(70)),
        "ends inside layer 2 (net.cfg:11 [convolutional]), in its weights, after 50 % of the layer: found 70 "
        "floats, expected 74 for all 4 layers. It was cut off, or belongs to another network.");
    CHECK_CONTAINS(floats_error(kTwo, counting(12)),
                   "ends inside layer 0 (net.cfg:5 [convolutional]), in its variances, after 18.2 % of the layer");
    CHECK_CONTAINS(floats_error(kTwo, counting(2)), "in its biases, after 3 % of the layer");
}

TEST_CASE("weights: floats left over are counted") {
    CHECK_CONTAINS(floats_error(kTwo, counting(75)),
                   "holds 75 floats, 1 more than the 74 of net.cfg. It belongs to another network.");
}

TEST_CASE("weights: sizes that are none are refused") {
    CHECK_CONTAINS(load_error(kTwo, ""), "has 0 bytes, too few for the header of a weights file (16 or 20)");
    CHECK_CONTAINS(load_error(kTwo, header(0, 2, 0, false)), "has 16 bytes, too few for the header");
    CHECK_CONTAINS(load_error(kTwo, header(0, 2, 0, true)), "holds a header and no weights; expected 74 floats");
    CHECK_CONTAINS(load_error(kTwo, header(0, 2, 0, true) + "abc"), "ends inside a number: 3 bytes after the header");
}

TEST_CASE("weights: other kinds of files are called what they are") {
    const std::string zeros(100, '\0');
    CHECK_CONTAINS(load_error(kTwo, "PK\x03\x04" + zeros), "is not a Darknet weights file but a zip or PyTorch file");
    CHECK_CONTAINS(load_error(kTwo, "<!DOCTYPE html>" + zeros), "but a web page; was the download refused?");
    CHECK_CONTAINS(load_error(kTwo, "version https://git-lfs.github.com/spec/v1\n"), "but a Git LFS pointer");
    CHECK_CONTAINS(load_error(kTwo, "[net]\nwidth=416\n" + zeros), "but a cfg");
    CHECK_CONTAINS(load_error(kTwo, "garbage!garbage!garbage!"), "is not a Darknet weights file: found version ");
    CHECK_CONTAINS(load_error(kTwo, header(0, -3, 0, true) + zeros), "found version 0.-3.5, expected one as 0.2.5");
}

TEST_CASE("weights: a number of images that no training has seen is an error with a remedy") {
    constexpr std::uint64_t most = 1000000000000;
    const std::string error = load_error(kTwo, header(0, 2, most + 1, true) + floats(counting(74)));
    CHECK_CONTAINS(error, "found 1000000000001 images seen in the header, expected at most 1000000000000; the file is");
    CHECK_CONTAINS(error, "--seen 0");
    const TemporaryFolder folder;
    CHECK(load(graph_of(kTwo), folder.write("most", header(0, 2, most, true) + floats(counting(74)))).report.seen ==
          most);
}

TEST_CASE("weights: numbers that no training leaves behind are refused, with layer, array and index") {
    std::vector<float> values = counting(74);
    values[20] = std::numeric_limits<float>::quiet_NaN();
    CHECK_CONTAINS(floats_error(kTwo, values),
                   "layer 0 (net.cfg:5 [convolutional]): weights[8] is nan, expected a finite number; the file is "
                   "damaged or belongs to another network");
    values[20] = 0;
    values[67] = -std::numeric_limits<float>::infinity();
    CHECK_CONTAINS(floats_error(kTwo, values), "layer 2 (net.cfg:11 [convolutional]): biases[1] is -inf");
    values[67] = 0;
    values[10] = -0.5f;
    CHECK_CONTAINS(floats_error(kTwo, values),
                   "variances[1] is -0.5, expected a finite number, not negative; the file is damaged");
    values[10] = -0.0f;
    CHECK(error_of(Status::weights, [&] {
              const TemporaryFolder folder;
              load(graph_of(kTwo), file_of(folder, values));
          }).empty());
}

TEST_CASE("weights: nothing changes when a file is refused") {
    const TemporaryFolder folder;
    const Graph graph = graph_of(kTwo);
    const auto parameters = initial_parameters(graph, 7);
    parameters->seen = 5;
    const std::vector<NodeParameters> before = parameters->nodes;
    const std::uint64_t weights_version = parameters->weights_version;
    const std::uint64_t statistics_version = parameters->statistics_version;
    std::vector<float> values = counting(74);
    values.back() = std::numeric_limits<float>::quiet_NaN();
    CHECK_CONTAINS(error_of(Status::weights, [&] { read_weights(file_of(folder, values), graph, *parameters); }),
                   "nan");
    for (std::size_t i = 0; i < before.size(); ++i) {
        CHECK(parameters->nodes[i].weights == before[i].weights);
        CHECK(parameters->nodes[i].biases == before[i].biases);
    }
    CHECK(parameters->seen == 5);
    CHECK(parameters->weights_version == weights_version);
    CHECK(parameters->statistics_version == statistics_version);
    read_weights(file_of(folder, counting(74)), graph, *parameters);
    CHECK(parameters->weights_version > weights_version);  // compiled plans notice
    CHECK(parameters->statistics_version > statistics_version);
}

TEST_CASE("weights: files that cannot be read or written say why") {
    const TemporaryFolder folder;
    const Graph graph = graph_of(kTwo);
    const auto parameters = initial_parameters(graph, 0);
    CHECK_CONTAINS(error_of(Status::io, [&] { load(graph, folder.file("none")); }),
                   "none: cannot open the file: No such file or directory");
    CHECK_CONTAINS(error_of(Status::io, [&] { load(graph, folder.path().string()); }), "is not a regular file");
    CHECK_CONTAINS(error_of(Status::io, [&] { write_weights(folder.file("no/x"), graph, *parameters, -1); }),
                   "no/x: cannot create a file in its folder: No such file or directory");
    CHECK_CONTAINS(error_of(Status::io, [&] { write_weights(folder.path().string(), graph, *parameters, -1); }),
                   "cannot be replaced: ");
    for (const int cutoff : {0, 5})
        CHECK_CONTAINS(
            error_of(Status::invalid_argument, [&] { write_weights(folder.file("x"), graph, *parameters, cutoff); }),
            "expected the number of layers to write, or -1 for all");
}

TEST_CASE("weights: what is written is read back, as version 0.2.5, whole or up to the cutoff") {
    const TemporaryFolder folder;
    const Graph graph = graph_of(kTwo);
    const auto parameters = initial_parameters(graph, 3);
    parameters->seen = 123456789012;
    const std::string path = folder.file("x.weights");
    write_weights(path, graph, *parameters, -1);
    CHECK(std::filesystem::file_size(path) == 20 + 4 * 74);
    const Loaded whole = load(graph, path);
    CHECK(whole.report.seen == 123456789012);
    CHECK(whole.report.revision == 5);
    for (int i : {0, 2}) {
        CHECK(whole.parameters.nodes[i].weights == parameters->nodes[i].weights);
        CHECK(whole.parameters.nodes[i].variances == parameters->nodes[i].variances);
    }
    write_weights(path, graph, *parameters, 2);  // replaces the first
    CHECK(std::filesystem::file_size(path) == 20 + 4 * 66);
    CHECK(load(graph, path).report.layers_loaded == 1);
}

TEST_CASE("weights: a failed write leaves what was there, and no temporary file") {
    const TemporaryFolder folder;
    const Graph graph = graph_of(kTwo);
    const auto parameters = initial_parameters(graph, 3);
    const std::string path = folder.write("x.weights", "precious");
    parameters->nodes[2].weights.pop_back();
    CHECK_CONTAINS(error_of(Status::internal, [&] { write_weights(path, graph, *parameters, -1); }),
                   "weights has 5 values, expected 6");
    CHECK(read_file(path, 100) == "precious");
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("weights: links stay, devices and pipes are written to") {
    const TemporaryFolder folder;
    const Graph graph = graph_of(kTwo);
    const auto parameters = initial_parameters(graph, 3);
    namespace fs = std::filesystem;
    const fs::path link = folder.path() / "link.weights", target = folder.path() / "far/x.weights";
    fs::create_directory(folder.path() / "far");
    fs::create_symlink("far/x.weights", link);
    for (int i = 0; i < 2; ++i) {  // the link leads to no file at first
        write_weights(link.string(), graph, *parameters, 2);
        CHECK(fs::is_symlink(link));
        CHECK(fs::file_size(target) == 20 + 4 * 66);
        fs::resize_file(target, 3);
    }
    fs::create_symlink("/dev/full", folder.path() / "full");
    CHECK_CONTAINS(
        error_of(Status::io, [&] { write_weights((folder.path() / "full").string(), graph, *parameters, -1); }),
        "No space left on device");
    CHECK(fs::is_character_file("/dev/full"));
    CHECK(fs::is_symlink(folder.path() / "full"));
}

TEST_CASE("parameters: the start follows Darknet's ranges, and depends on seed and layer alone") {
    const Graph graph = graph_of(kNet + "[convolutional]\nfilters=64\nsize=3\nbatch_normalize=1\n[implicit]\nmean=1\n");
    const auto a = initial_parameters(graph, 1), b = initial_parameters(graph, 1), c = initial_parameters(graph, 2);
    CHECK(a->nodes[0].weights == b->nodes[0].weights);
    CHECK(a->nodes[0].weights != c->nodes[0].weights);
    const float limit = std::sqrt(2.0f / 18);
    double sum = 0, squares = 0;
    for (const float w : a->nodes[0].weights) {
        CHECK(std::abs(w) <= limit);
        sum += w;
        squares += w * w;
    }
    const auto n = static_cast<double>(a->nodes[0].weights.size());  // 1152
    CHECK(std::abs(sum / n) < 4 * limit / std::sqrt(3 * n));         // four standard errors
    CHECK(squares / n == doctest::Approx(limit * limit / 3).epsilon(0.1));
    CHECK(a->nodes[0].scales == Floats(64, 1.0f));
    CHECK(a->nodes[0].variances == Floats(64, 1.0f));
    CHECK(a->nodes[0].biases == Floats(64, 0.0f));
    for (const float w : a->nodes[1].weights) CHECK(std::abs(w - 1) <= 0.2f);
}
