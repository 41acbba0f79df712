// SPDX-License-Identifier: Apache-2.0
// The cfg reader: what it accepts, how it counts lines, and what it says about everything else.
#include "cfg.hpp"

#include <utility>

#include "layers/params.hpp"
#include "network.hpp"
#include "support.hpp"

using namespace dn;
using namespace dn::test;

namespace {

Cfg parse(const std::string& text) { return parse_cfg(text, "net.cfg"); }

std::string parse_error(const std::string& text) {
    return error_of(Status::cfg, [&] { parse(text); });
}

std::string graph_error(const std::string& text) {
    return error_of(Status::cfg, [&] { graph_of(text); });
}

// Runs `read` on the options of one section that holds `lines`.
template <class Read>
std::string option_error(const std::string& lines, Read read) {
    const Cfg cfg = parse("[net]\n" + lines);
    return error_of(Status::cfg, [&] {
        CfgOptions options(cfg.sections[0]);
        read(options);
    });
}

const std::string kNet = "[net]\nwidth=8\nheight=8\nchannels=3\n";

}  // namespace

TEST_CASE("cfg: comments, blank lines and blanks inside lines are skipped, and line numbers count them") {
    const Cfg cfg = parse("# head\n\n; also\n [ net ]\t\n  width = 4 16 \n\n[conv]\nfilters=8 # eight\npad=1;one\n");
    REQUIRE(cfg.sections.size() == 2);
    CHECK(cfg.sections[0].type == "net");
    CHECK(cfg.sections[0].line == 4);
    REQUIRE(cfg.sections[0].options.size() == 1);
    CHECK(cfg.sections[0].options[0].key == "width");
    CHECK(cfg.sections[0].options[0].value == "416");
    CHECK(cfg.sections[0].options[0].line == 5);
    CHECK(cfg.sections[1].options[0].value == "8");
    CHECK(cfg.sections[1].options[1].value == "1");
    CHECK(cfg.sections[1].options[1].line == 9);
    CHECK(cfg.sections[1].where("pad") == "net.cfg:9 [conv] pad");
}

TEST_CASE("cfg: CRLF, a byte order mark and a missing last line end change nothing") {
    const Cfg cfg = parse("\xEF\xBB\xBF[net]\r\nwidth=32\r\nheight=64");
    REQUIRE(cfg.sections.size() == 1);
    REQUIRE(cfg.sections[0].options.size() == 2);
    CHECK(cfg.sections[0].options[0].value == "32");
    CHECK(cfg.sections[0].options[1].value == "64");
    CHECK(cfg.sections[0].options[1].line == 3);
}

TEST_CASE("cfg: repeated sections stay separate and in order - a value may hold equals signs - the first key wins") {
    const Cfg cfg = parse("[net]\na=1\na=2\n[conv]\n[conv]\nb=x=y\n");
    REQUIRE(cfg.sections.size() == 3);
    CHECK(cfg.sections[2].options[0].value == "x=y");
    CfgOptions options(cfg.sections[0]);
    CHECK(options.integer("a", 0) == 1);
}

TEST_CASE("cfg: lines that are neither section nor option are refused with file and line") {
    CHECK(graph_error("[net]\nwidth 416\n[conv]\n") == "net.cfg:2: found \"width416\", expected key=value");
    CHECK(graph_error("[net]\n\nwidth=\n[conv]\n") == "net.cfg:3: found \"width=\", expected key=value");
    CHECK(parse_error("[net]\n=4\n") == "net.cfg:2: found \"=4\", expected key=value");
    CHECK(parse_error("[net\n") == "net.cfg:1: found \"[net\", expected a section as [convolutional]");
    CHECK(parse_error("[]\n") == "net.cfg:1: found \"[]\", expected a section as [convolutional]");
    CHECK_CONTAINS(parse_error("width=416\n[net]\n"), "net.cfg:1: found an option before any section");
    CHECK_CONTAINS(parse_error("# nothing\n"), "net.cfg: no section found");
    CHECK_CONTAINS(parse_error(""), "net.cfg: no section found");
}

TEST_CASE("cfg: absurdly long names are refused shortly, as are long values") {
    const std::string long_key(100000, 'k');
    CHECK(parse_error("[net]\n" + long_key + "=1\n") ==
          "net.cfg:2: found a name of 100000 characters, beginning with \"kkkkkkkkkkkkkkkkkkkk\"; is this a cfg?");
    CHECK_CONTAINS(parse_error("[" + long_key + "]\n"), "net.cfg:1: found a name of 100002 characters");
    const std::string message =
        option_error("width=" + std::string(100000, '9') + "\n", [](CfgOptions& o) { o.integer("width", 0); });
    CHECK_CONTAINS(message, "net.cfg:2 [net] width: found 999");
    CHECK(message.size() < 3000);
}

TEST_CASE("cfg: values of the wrong type are refused with what was found and what was expected") {
    const auto integer = [](CfgOptions& options) { options.integer("x", 0); };
    const auto real = [](CfgOptions& options) { options.real("x", 0); };
    CHECK(option_error("x=1.5\n", integer) ==
          "net.cfg:2 [net] x: found \"1.5\", expected a whole number; Darknet reads 1");
    CHECK(option_error("x=abc\n", integer) == "net.cfg:2 [net] x: found \"abc\", expected a whole number");
    CHECK(option_error("x=4294967296\n", integer) == "net.cfg:2 [net] x: found 4294967296, which does not fit 32 bits");
    CHECK(option_error("x=.1e\n", real) == "net.cfg:2 [net] x: found \".1e\", expected a number; Darknet reads 0.1");
    CHECK(option_error("x=nan\n", real) == "net.cfg:2 [net] x: found \"nan\", expected a finite number");
    CHECK(option_error("x=1e999\n", real) == "net.cfg:2 [net] x: found \"1e999\", expected a finite number");
    CHECK(option_error("x=9\n", [](CfgOptions& o) { o.integer("x", 0, 1, 8); }) ==
          "net.cfg:2 [net] x: found 9, expected 1 to 8");
    CHECK(option_error("x=1,b\n", [](CfgOptions& o) { o.integers("x"); }) ==
          "net.cfg:2 [net] x: found \"b\", expected a whole number");
    CHECK(option_error("x=1,,2\n", [](CfgOptions& o) { o.reals("x"); }) ==
          "net.cfg:2 [net] x: found \"\", expected a number");
}

TEST_CASE("cfg: numbers and lists are read exactly, and absent keys give the fallback") {
    const Cfg cfg = parse("[net]\ni=-7\nf=.00261\nl=1, 2 ,3,\nr=0.5,2e1\nw=leaky\nz=0\n");
    CfgOptions options(cfg.sections[0]);
    CHECK(options.integer("i", 0) == -7);
    CHECK(options.real("f", 0) == 0.00261f);
    CHECK(options.integers("l") == std::vector<int>{1, 2, 3});  // public files have trailing commas
    CHECK(options.reals("r") == std::vector<float>{0.5f, 20.0f});
    CHECK(options.word("w", "") == "leaky");
    CHECK_FALSE(options.flag("z", true));
    CHECK(options.integer("none", 5) == 5);
    CHECK(options.real("none", 0.5f) == 0.5f);
    CHECK(options.integers("none").empty());
    CHECK(options.unknown().empty());
}

TEST_CASE("cfg: numbers that Darknet reads in part are warnings where the part is meant, errors where it is not") {
    const auto read = [](const std::string& value, bool whole) {
        const Cfg cfg = parse("[net]\nx=" + value + "\n");
        CfgOptions options(cfg.sections[0], false);
        const double number = whole ? options.integers("x").at(0) : options.reals("x").at(0);
        return std::make_pair(number, options.warnings().size());
    };
    using Read = std::pair<double, std::size_t>;
    CHECK(read("4800.0,5400.", true) == Read{4800, 0});
    CHECK(read("10.5", true) == Read{10, 1});
    CHECK(read("64px", true) == Read{64, 1});
    CHECK(read("-3.0x", true) == Read{-3, 1});
    CHECK(read("0.5f", false) == Read{0.5, 1});
    for (const char* wrong : {"1e3", "1.5e3", "-6-1", "1_000", "px64", "", "."})
        CHECK_THROWS_AS(read(std::string(wrong) + ",", true), Error);
    CHECK_THROWS_AS(read("1.2.3", false), Error);
    CHECK(option_error("x=1e3\n", [](CfgOptions& o) { o.integer("x", 0); }) ==
          "net.cfg:2 [net] x: found \"1e3\", expected a whole number; Darknet reads 1");
}

TEST_CASE("cfg: UTF-16 with and without a mark, and lines that end in CR, are read") {
    const std::string plain = "[net]\nwidth=8\nname=\xC3\xA9\xF0\x9F\x90\xA6\n";
    const std::u16string units = u"[net]\nwidth=8\nname=\u00E9\U0001F426\n";
    std::string little, big;
    for (const char16_t unit : units) {
        little += {static_cast<char>(unit & 0xFF), static_cast<char>(unit >> 8)};
        big += {static_cast<char>(unit >> 8), static_cast<char>(unit & 0xFF)};
    }
    CHECK(decode_text("\xFF\xFE" + little) == plain);
    CHECK(decode_text("\xFE\xFF" + big + "\n") == plain);  // half a unit at the end
    CHECK(decode_text(little) == plain);
    CHECK(decode_text(big) == plain);
    CHECK(parse("[net]\rwidth=8\r[conv]\r").sections.at(1).line == 3);
    CHECK(parse("[net]\nwidth=\r8\n").sections.at(0).options.at(0).value == "8");  // Darknet deletes a CR
}

TEST_CASE("cfg: a key that is missing names the option that was probably meant") {
    CHECK_CONTAINS(graph_error("[net]\nwidth=8\nHeight=8\nchannels=3\n[conv]\n"),
                   "net.cfg:3 [net] Height: the input's height is missing or 0; expected 1 or more; did you mean "
                   "\"height\" by \"Height\"?");
}

TEST_CASE("cfg: not strict, lines that Darknet skips and anchors beyond num become warnings") {
    const std::string head = "[conv]\nfilters=12\n[yolo]\nmask=2,3\nanchors=1,2,3,4,5,6,7,8\nclasses=1\nnum=2\n";
    CHECK_CONTAINS(
        graph_error(kNet + head),
        "net.cfg:11 [yolo] num: found 2, but mask uses anchor 3, counted from 0, of the 4 listed; set num=4");
    const Graph graph = build_graph(parse(kNet + "burn_in\ndecay=\n" + head), false);
    REQUIRE(graph.warnings.size() == 3);
    CHECK_CONTAINS(graph.warnings[0], "net.cfg:5: found \"burn_in\", expected key=value");
    CHECK_CONTAINS(graph.warnings[2], "net.cfg:13 [yolo] num: found 2");
    CHECK(graph.nodes[1].as<YoloParams>().anchors == std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
    CHECK_CONTAINS(graph_error(kNet + "[conv]\nfilters=6\n[yolo]\nmask=3\nanchors=1,2,3,4\nclasses=1\n"),
                   "[yolo] mask: found anchor 3");
}

TEST_CASE("cfg: activations of other frameworks are named by what they compute") {
    const auto hint = [](const std::string& word) { return graph_error(kNet + "[conv]\nactivation=" + word + "\n"); };
    CHECK_CONTAINS(hint("silu"), "unknown activation \"silu\"; did you mean \"swish\"?");
    CHECK_CONTAINS(hint("Leaky_ReLU"), "did you mean \"leaky\"?");
    CHECK_CONTAINS(hint("sigmoid"), "did you mean \"logistic\"?");
    CHECK_CONTAINS(hint("hard_swish"), "unknown activation \"hard_swish\"; Darknet has no such function");
}

TEST_CASE("cfg: a key that is not read is reported with its line and the closest known key") {
    const Cfg cfg = parse("[net]\nsubdivision=16\nHeight=8\nquite_else=1\n");
    CfgOptions options(cfg.sections[0]);
    options.integer("subdivisions", 1);
    options.integer("height", 1);
    const std::vector<std::string> messages = options.unknown();
    REQUIRE(messages.size() == 3);
    CHECK(messages[0] == "net.cfg:2 [net] subdivision: unknown key \"subdivision\"; did you mean \"subdivisions\"?");
    CHECK(messages[1] == "net.cfg:3 [net] Height: unknown key \"Height\"; did you mean \"height\"?");
    CHECK(messages[2] == "net.cfg:4 [net] quite_else: unknown key \"quite_else\"");
}

TEST_CASE("cfg: the closest word is the one with the fewest edits, or none when all are far") {
    const std::vector<std::string> words{"filters", "stride", "pad"};
    CHECK(closest("filter", words) == "filters");
    CHECK(closest("STRIDE", words) == "stride");
    CHECK(closest("xyzxyz", words).empty());
    CHECK(closest(std::string(1 << 20, 'f'), words).empty());
}

TEST_CASE("cfg: unknown sections, keys and activations name the closest known one") {
    CHECK_CONTAINS(graph_error(kNet + "[convolutionnal]\n"), "net.cfg:5 [convolutionnal]: ");
    CHECK_CONTAINS(graph_error(kNet + "[convolutionnal]\n"), "did you mean [convolutional]?");
    CHECK_CONTAINS(graph_error(kNet + "[convolutional]\nfilter=8\n"),
                   "net.cfg:6 [convolutional] filter: unknown key \"filter\"; did you mean \"filters\"?");
    CHECK_CONTAINS(graph_error(kNet + "[convolutional]\nactivation=leeky\n"), "did you mean \"leaky\"?");
    CHECK_CONTAINS(graph_error("[nett]\n[conv]\n"), "net.cfg:1 [nett]: found [nett], expected [net]");
    CHECK_CONTAINS(graph_error(kNet), "net.cfg: has no layer after [net]");
}

TEST_CASE("cfg: not strict, unknown keys become warnings") {
    const Cfg cfg = parse(kNet + "[convolutional]\nfilter=8\n");
    const Graph graph = build_graph(cfg, false);
    REQUIRE(graph.warnings.size() == 1);
    CHECK_CONTAINS(graph.warnings[0], "net.cfg:6 [convolutional] filter: unknown key");
}

TEST_CASE("cfg: references to layers that do not come before are refused") {
    CHECK_CONTAINS(graph_error(kNet + "[conv]\n[route]\nlayers=-1,4\n"), "net.cfg:7 [route] layers: found 4");
    CHECK_CONTAINS(graph_error(kNet + "[conv]\n[shortcut]\nfrom=-5\n"), "net.cfg:7 [shortcut] from: found -5");
}

TEST_CASE("cfg: filters that do not match the head are refused at the convolution's line") {
    const std::string message =
        graph_error(kNet + "[convolutional]\nfilters=20\n[yolo]\nclasses=3\nnum=3\nanchors=1,1,2,2,3,3\nmask=0,1,2\n");
    CHECK_CONTAINS(message, "net.cfg:5 [convolutional] filters: found filters=20, expected (classes + 5) * 3 = 24");
}

TEST_CASE("cfg: files that cannot be read say why") {
    const TemporaryFolder folder;
    const auto message = [](const std::string& path) { return error_of(Status::io, [&] { read_file(path, 100); }); };
    CHECK_CONTAINS(message(folder.file("none.cfg")), "none.cfg: cannot open the file: No such file or directory");
    CHECK_CONTAINS(message(folder.path().string()), "is not a regular file");
    CHECK_CONTAINS(message(folder.write("big.cfg", std::string(101, ' '))), "has 101 bytes, expected at most 100");
    CHECK(read_file(folder.write("good.cfg", "[net]\n"), 100) == "[net]\n");
}

TEST_CASE("cfg: keys that only Darknet uses are listed with their line, unless they have its default") {
    const std::string cfg =
        "[net]\nwidth=4\nheight=4\nchannels=3\nangle=0\naspect=1.0\ntrack=1\nmosaic=1\n[dropout]\ndropblock=1\n"
        "[cost]\nratio=.5\n";
    const std::vector<std::string> found = graph_of(cfg).without_effect;
    REQUIRE(found.size() == 3);
    CHECK(found[0] == "net.cfg:7 [net] track=1 has no effect: only Darknet uses this key");
    CHECK_CONTAINS(found[1], "net.cfg:10 [dropout] dropblock=1 has no effect");
    CHECK_CONTAINS(found[2], "net.cfg:12 [cost] ratio=.5 has no effect");
}

TEST_CASE("network: a number of threads that the system may not create is refused with the number of cores") {
    const Cfg cfg = parse(kNet + "[conv]\n");
    for (const int threads : {-1, 1 << 20}) {
        NetworkOptions options;
        options.threads = threads;
        const std::string message = error_of(Status::invalid_argument, [&] { Network(cfg, "", options); });
        CHECK_CONTAINS(message, text("found ", threads, " threads, expected 1 to "));
        CHECK_CONTAINS(message, "cores that this process may use");
        CHECK(error_of(Status::invalid_argument, [&] { memory_need(cfg, options, 0, 0, false); }) == message);
    }
}

TEST_CASE("network: the memory of a training is that of layers that can be trained") {
    const auto refusal = [](const std::string& layers) {
        return error_of(Status::cfg, [&] { memory_need(parse(kNet + layers), {}, 0, 0, true); });
    };
    CHECK_CONTAINS(refusal("[connected]\noutput=6\n[detection]\ncoords=4\nside=1\n"), "the loss of YOLOv1");
    CHECK(refusal("[conv]\n").empty());
}
