// SPDX-License-Identifier: Apache-2.0
#include "cfg.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <type_traits>

#include "error.hpp"
#include "file_io.hpp"

namespace dn {
namespace {

constexpr std::size_t kMaxCfgBytes = 4u << 20;  // the largest public cfg has 60 kB
constexpr std::size_t kMaxName = 200;           // of a section or key; longer ones are no cfg
constexpr std::size_t kMaxUnknown = 100;        // messages per section

std::string_view next_line(std::string_view& rest) {
    const std::size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    return line;
}

// Darknet deletes blanks everywhere in a line, also inside values; comments go first.
std::string squeeze(std::string_view line) {
    std::string out;
    for (char ch : line.substr(0, line.find_first_of("#;"))) {
        if (ch == '\0') ch = '?';  // a text file has none; keep it visible in messages
        if (ch != ' ' && ch != '\t' && ch != '\r') out += ch;
    }
    return out;
}

// Darknet reads the digits in front and ignores the rest. What follows is harmless (".0"), doubtful (a fraction, a
// unit), or means another number than Darknet reads ("1e3", "1,5").
enum class Rest { none, doubtful, wrong };

Rest rest_of(std::string_view rest, bool fraction_allowed) {
    std::size_t used = 0;
    bool zeros = true;
    if (fraction_allowed && !rest.empty() && rest[0] == '.')
        for (used = 1; used < rest.size() && std::isdigit(static_cast<unsigned char>(rest[used])); ++used)
            zeros = zeros && rest[used] == '0';
    if (used == rest.size() && zeros) return Rest::none;
    return rest.find_first_of("0123456789.,", used) == std::string_view::npos ? Rest::doubtful : Rest::wrong;
}

// number: as Darknet reads it.
template <class T>
void check_rest(CfgOptions& options, const std::string& key, const std::string& value, const char* end, T number) {
    constexpr bool whole = std::is_same_v<T, int>;
    const char* expected = whole ? "a whole number" : "a number";
    if (end == value.c_str()) options.fail(key, text("found \"", value, "\", expected ", expected));
    const Rest rest = rest_of(end, whole);
    if (rest == Rest::none) return;
    const std::string message = text("found \"", value, "\", expected ", expected, "; Darknet reads ", number);
    if (rest == Rest::wrong) options.fail(key, message);
    options.doubt(key, message);
}

template <class T>
T parse_number(CfgOptions& options, const std::string& key, const std::string& value);

template <>
float parse_number(CfgOptions& options, const std::string& key, const std::string& value) {
    char* end = nullptr;
    const float number = std::strtof(value.c_str(), &end);
    if (end != value.c_str() && !std::isfinite(number))
        options.fail(key, text("found \"", value, "\", expected a finite number"));
    check_rest(options, key, value, end, number);
    return number;
}

template <>
int parse_number(CfgOptions& options, const std::string& key, const std::string& value) {
    char* end = nullptr;
    errno = 0;
    const long number = std::strtol(value.c_str(), &end, 10);
    if (errno == ERANGE || number < std::numeric_limits<int>::min() || number > std::numeric_limits<int>::max())
        options.fail(key, text("found ", value, ", which does not fit 32 bits"));
    check_rest(options, key, value, end, static_cast<int>(number));
    return static_cast<int>(number);
}

template <class T>
std::vector<T> parse_list(CfgOptions& options, const std::string& key, std::string_view value) {
    std::vector<T> out;
    while (!value.empty()) {
        const std::size_t comma = value.find(',');
        out.push_back(parse_number<T>(options, key, std::string(value.substr(0, comma))));
        if (comma == std::string_view::npos) break;
        value.remove_prefix(comma + 1);  // a trailing comma, as public files have, ends the list
    }
    return out;
}

std::size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            const bool same = std::tolower(static_cast<unsigned char>(a[i - 1])) ==
                              std::tolower(static_cast<unsigned char>(b[j - 1]));
            row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (same ? 0 : 1)});
            diagonal = above;
        }
    }
    return row[b.size()];
}

}  // namespace

std::string closest(const std::string& word, const std::vector<std::string>& candidates) {
    std::string best;
    std::size_t distance = std::max<std::size_t>(2, word.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        // Each character too many is an edit; a word of megabytes is near to nothing.
        if (std::max(word.size(), candidate.size()) - std::min(word.size(), candidate.size()) >= distance) continue;
        const std::size_t d = edit_distance(word, candidate);
        if (d < distance) {
            distance = d;
            best = candidate;
        }
    }
    return best;
}

std::string Section::where(const std::string& key) const {
    int at = line;
    for (const Option& option : options)
        if (option.key == key) {
            at = option.line;
            break;
        }
    return text(file, ":", at, " [", type, "]", key.empty() ? "" : " ", key);
}

Cfg parse_cfg(std::string_view bytes, const std::string& file) {
    Cfg cfg{file, {}, {}};
    const std::string decoded = decode_text(bytes);
    std::string_view content = decoded;
    for (int number = 1; !content.empty(); ++number) {
        const std::string line = squeeze(next_line(content));
        if (line.empty()) continue;
        const std::string where = text(file, ":", number);
        const std::size_t equals = line.find('=');
        const std::size_t name = std::min(line[0] == '[' ? std::string::npos : equals, line.size());
        if (name > kMaxName)
            throw Error(Status::cfg, where,
                        text("found a name of ", name, " characters, beginning with \"", line.substr(0, 20),
                             "\"; is this a cfg?"));
        if (line[0] == '[') {
            if (line.back() != ']' || line.size() < 3)
                throw Error(Status::cfg, where, text("found \"", line, "\", expected a section as [convolutional]"));
            cfg.sections.push_back({line.substr(1, line.size() - 2), file, number, {}});
            continue;
        }
        if (cfg.sections.empty() && equals != std::string::npos)
            throw Error(Status::cfg, where, "found an option before any section; the file must begin with [net]");
        if (equals == std::string::npos || equals == 0 || equals + 1 == line.size()) {
            const std::string message = text("found \"", line, "\", expected key=value");
            if (cfg.sections.empty() || equals == 0) throw Error(Status::cfg, where, message);
            cfg.idle_lines.push_back(text(where, ": ", message));
            continue;
        }
        cfg.sections.back().options.push_back({line.substr(0, equals), line.substr(equals + 1), number});
    }
    if (cfg.sections.empty()) throw Error(Status::cfg, file, "no section found; a network begins with [net]");
    return cfg;
}

std::string read_file(const std::string& path, std::size_t limit) {
    const InputFile file(path);
    if (file.size() > limit)
        throw Error(Status::io, path, text("has ", file.size(), " bytes, expected at most ", limit));
    std::string content(static_cast<std::size_t>(file.size()), '\0');
    file.read(0, content.data(), content.size());
    return content;
}

Cfg read_cfg(const std::string& path) { return parse_cfg(read_file(path, kMaxCfgBytes), path); }

const Option* CfgOptions::find(const std::string& key) {
    known_.insert(key);
    for (const Option& option : section_.options)
        if (option.key == key) return &option;  // the first one wins, as in Darknet
    return nullptr;
}

bool CfgOptions::has(const std::string& key) { return find(key) != nullptr; }

int CfgOptions::integer(const std::string& key, int fallback) {
    const Option* option = find(key);
    return option ? parse_number<int>(*this, key, option->value) : fallback;
}

int CfgOptions::integer(const std::string& key, int fallback, int low, int high) {
    const int number = integer(key, fallback);
    if (number < low || number > high) fail(key, text("found ", number, ", expected ", low, " to ", high));
    return number;
}

float CfgOptions::real(const std::string& key, float fallback) {
    const Option* option = find(key);
    return option ? parse_number<float>(*this, key, option->value) : fallback;
}

bool CfgOptions::flag(const std::string& key, bool fallback) { return integer(key, fallback ? 1 : 0) != 0; }

std::string CfgOptions::word(const std::string& key, const std::string& fallback) {
    const Option* option = find(key);
    return option ? option->value : fallback;
}

std::vector<int> CfgOptions::integers(const std::string& key) {
    const Option* option = find(key);
    return option ? parse_list<int>(*this, key, option->value) : std::vector<int>{};
}

std::vector<float> CfgOptions::reals(const std::string& key) {
    const Option* option = find(key);
    return option ? parse_list<float>(*this, key, option->value) : std::vector<float>{};
}

void CfgOptions::accept(std::initializer_list<const char*> keys) {
    for (const char* key : keys) known_.insert(key);
}

void CfgOptions::unsupported(const char* key, float fallback) {
    const Option* option = find(key);
    if (!option) return;
    char* end = nullptr;
    const float value = std::strtof(option->value.c_str(), &end);
    if (*end == '\0' && value == fallback) return;
    without_effect_.push_back(
        text(section_.where(key), "=", option->value, " has no effect: only Darknet uses this key"));
}

void CfgOptions::unsupported(std::initializer_list<const char*> keys) {
    for (const char* key : keys) unsupported(key);
}

std::vector<std::string> CfgOptions::unknown() const {
    const std::vector<std::string> known(known_.begin(), known_.end());
    std::vector<std::string> messages;
    for (const Option& option : section_.options) {
        if (known_.count(option.key)) continue;
        if (messages.size() == kMaxUnknown) break;
        const std::string near = closest(option.key, known);
        messages.push_back(text(section_.file, ":", option.line, " [", section_.type, "] ", option.key,
                                ": unknown key \"", option.key, "\"",
                                near.empty() ? "" : text("; did you mean \"", near, "\"?")));
    }
    return messages;
}

void CfgOptions::doubt(const std::string& key, const std::string& message) {
    if (strict_) fail(key, message);
    warnings_.push_back(text(section_.where(key), ": ", message));
}

void CfgOptions::fail(const std::string& key, const std::string& message) const {
    std::vector<std::string> unread;
    for (const Option& option : section_.options) {
        if (option.key == key) throw Error(Status::cfg, section_.where(key), message);
        if (!known_.count(option.key)) unread.push_back(option.key);
    }
    const std::string near = key.empty() ? "" : closest(key, unread);
    throw Error(Status::cfg, section_.where(near.empty() ? key : near),
                near.empty() ? message : text(message, "; did you mean \"", key, "\" by \"", near, "\"?"));
}

}  // namespace dn
