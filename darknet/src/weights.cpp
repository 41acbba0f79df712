// SPDX-License-Identifier: Apache-2.0
#include "weights.hpp"

#include <algorithm>
#include <cstring>

#include "counters.hpp"
#include "error.hpp"
#include "file_io.hpp"
#include "layers/layer.hpp"
#include "weights_layout.hpp"

namespace dn {
namespace {

static_assert(sizeof(float) == 4, "weights files hold 4-byte floats");
#if defined(__BYTE_ORDER__)
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights files are little-endian");
#endif

constexpr std::size_t kVersionBytes = 3 * sizeof(std::int32_t);
constexpr std::int32_t kWritten[3] = {0, 2, 5};  // the version that Darknet writes
constexpr std::int32_t kMaxVersion = 1 << 16;
// 8 GiB of parameters; the largest public network has one.
constexpr std::uint64_t kMaxParameters = std::uint64_t{1} << 31;

struct Header {
    std::int32_t major = 0, minor = 0, revision = 0;
    std::uint64_t seen = 0;
    std::size_t bytes = 0;
    bool transposed() const { return major > 1000 || minor > 1000; }
};

// Files people take for weights: the first bytes of each and what it is.
struct Foreign {
    const char* magic;
    const char* what;
};
constexpr Foreign kForeign[] = {
    {"PK\x03\x04", "a zip or PyTorch file"},
    {"<!DO", "a web page; was the download refused?"},
    {"<htm", "a web page; was the download refused?"},
    {"vers", "a Git LFS pointer; run \"git lfs pull\""},
    {"[net", "a cfg"},
    {"\x1F\x8B", "a gzip archive; unpack it first"},
    {"\x89PNG", "an image"},
};

void check_version(const std::string& path, const Header& header) {
    char first[5] = {};
    std::memcpy(first, &header.major, 4);
    for (const Foreign& foreign : kForeign)
        if (std::strncmp(first, foreign.magic, std::strlen(foreign.magic)) == 0)
            throw Error(Status::weights, path, text("is not a Darknet weights file but ", foreign.what));
    for (const std::int32_t number : {header.major, header.minor, header.revision})
        if (number < 0 || number > kMaxVersion)
            throw Error(Status::weights, path,
                        text("is not a Darknet weights file: found version ", header.major, ".", header.minor, ".",
                             header.revision, ", expected one as 0.2.5"));
}

Header read_header(const InputFile& file, const std::string& path) {
    Header header;
    const auto require = [&](std::size_t bytes) {
        if (file.size() < bytes)
            throw Error(Status::weights, path,
                        text("has ", file.size(), " bytes, too few for the header of a weights file (16 or 20)"));
    };
    require(kVersionBytes);
    std::int32_t version[3];
    file.read(0, version, kVersionBytes);
    header.major = version[0];
    header.minor = version[1];
    header.revision = version[2];
    check_version(path, header);
    const bool wide = std::int64_t{10} * header.major + header.minor >= 2;
    const std::size_t seen_bytes = wide ? sizeof(std::uint64_t) : sizeof(std::uint32_t);
    header.bytes = kVersionBytes + seen_bytes;
    require(header.bytes);
    file.read(kVersionBytes, &header.seen, seen_bytes);
    if (header.seen > kMostSeen)
        throw Error(Status::weights, path,
                    text("found ", header.seen, " images seen in the header, expected at most ", kMostSeen,
                         "; the file is damaged: if its weights are not, \"pydarknet weights convert CFG FILE NEW "
                         "--seen 0\" writes them with another number"));
    return header;
}

// By bits instead of isfinite(), so that the loop over hundreds of megabytes is vectorised.
bool is_sound(float value, bool variance) {
    constexpr std::uint32_t exponent = 0x7F800000u, minus_zero = 0x80000000u;
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return ((bits & exponent) != exponent) & !(variance & (bits > minus_zero));
}

void check_values(const std::string& path, const Node& node, Role role, const Floats& values) {
    const bool variances = role == Role::variances;
    bool sound = true;
    for (const float value : values) sound &= is_sound(value, variances);
    if (sound) return;
    const auto bad =
        std::find_if_not(values.begin(), values.end(), [&](float value) { return is_sound(value, variances); });
    throw Error(Status::weights, path,
                text(layer_name(node), ": ", role_name(role), "[", bad - values.begin(), "] is ", *bad, ", expected ",
                     variances ? "a finite number, not negative" : "a finite number",
                     "; the file is damaged or belongs to another network"));
}

// (rows, columns) -> (columns, rows)
Floats transpose(const Floats& src, std::size_t rows, std::size_t columns) {
    Floats dst(src.size());
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = 0; c < columns; ++c) dst[c * rows + r] = src[r * columns + c];
    return dst;
}

// Whether the file holds these weights as (inputs, outputs); in memory they are (outputs, inputs).
bool is_transposed(const Node& node, Role role, bool header_transposed) {
    const auto transposed = layer_def(node.kind).transposed;
    return transposed && role == Role::weights && transposed(node, header_transposed);
}

Floats read_array(const InputFile& file, const std::string& path, const Header& header, const Node& node,
                  const WeightsEntry& entry) {
    Floats values(entry.array.count);
    file.read(header.bytes + entry.offset * sizeof(float), values.data(), values.size() * sizeof(float));
    check_values(path, node, entry.array.role, values);
    if (is_transposed(node, entry.array.role, header.transposed()))
        return transpose(values, values.size() / node.out.c, node.out.c);
    return values;
}

std::uint64_t count_floats(const InputFile& file, const Header& header, const std::string& path) {
    const std::uint64_t bytes = file.size() - header.bytes;
    if (bytes % sizeof(float) != 0)
        throw Error(Status::weights, path,
                    text("ends inside a number: ", bytes,
                         " bytes after the header are not a whole number of floats. It "
                         "was cut off, or is not a weights file."));
    return bytes / sizeof(float);
}

void check_parameter_count(const Graph& graph, std::uint64_t floats) {
    if (floats > kMaxParameters)
        throw Error(Status::cfg, graph.file,
                    text("describes a network of ", floats, " parameters, expected at most ", kMaxParameters));
}

}  // namespace

WeightsReport read_weights(const std::string& path, const Graph& graph, Parameters& parameters) {
    const InputFile file(path);
    const Header header = read_header(file, path);
    const WeightsLayout layout = layout_to_read(graph);
    check_parameter_count(graph, layout.floats);
    WeightsReport report{header.major, header.minor, header.revision, header.seen, 0, 0, 0};
    report.floats = count_floats(file, header, path);
    report.layers_total = static_cast<int>(graph.nodes.size());
    report.layers_loaded = layers_covered(graph, layout, report.floats, path);

    std::vector<std::pair<const WeightsEntry*, Floats>> arrays;
    for (const WeightsEntry& entry : layout.entries)
        if (entry.offset < report.floats)
            arrays.emplace_back(&entry, read_array(file, path, header, graph.nodes[entry.node], entry));

    // Everything is known to be good: from here on nothing throws but for memory, and that before the first change.
    parameters.nodes.resize(graph.nodes.size());
    for (auto& [entry, values] : arrays) parameters.nodes[entry->node].array(entry->array.role) = std::move(values);
    parameters.seen = header.seen;
    parameters.host_weights_version = ++parameters.weights_version;
    parameters.host_statistics_version = ++parameters.statistics_version;
    return report;
}

std::shared_ptr<Parameters> load_parameters(const Graph& graph, const std::string& path, WeightsReport& report) {
    constexpr std::uint64_t seed = 0;
    auto parameters = std::make_shared<Parameters>();
    if (path.empty())
        check_parameter_count(graph, layout_to_write(graph, -1).floats);
    else
        report = read_weights(path, graph, *parameters);
    initialise_missing(graph, *parameters, seed);
    return parameters;
}

void write_weights(const std::string& path, const Graph& graph, const Parameters& parameters, int cutoff) {
    const WeightsLayout layout = layout_to_write(graph, cutoff);
    if (cutoff > static_cast<int>(graph.nodes.size()) || layout.floats == 0)
        throw Error(Status::invalid_argument, path,
                    text("a cutoff of ", cutoff, " leaves no weights to write, or is more than the ",
                         graph.nodes.size(), " layers; expected the number of layers to write, or -1 for all"));
    ReplacingFile file(path);
    file.write(kWritten, sizeof kWritten);
    file.write(&parameters.seen, sizeof parameters.seen);
    for (const WeightsEntry& entry : layout.entries) {
        const Node& node = graph.nodes[entry.node];
        const Floats& values = parameters.nodes.at(entry.node).array(entry.array.role);
        if (values.size() != entry.array.count)
            throw Error(
                Status::internal, node.where,
                text(role_name(entry.array.role), " has ", values.size(), " values, expected ", entry.array.count));
        const auto put = [&](const Floats& out) { file.write(out.data(), out.size() * sizeof(float)); };
        if (is_transposed(node, entry.array.role, false))
            put(transpose(values, node.out.c, values.size() / node.out.c));
        else
            put(values);
    }
    file.commit();
}

}  // namespace dn
