// SPDX-License-Identifier: Apache-2.0
// Reading a cfg: text -> sections of options with line numbers, and typed access that remembers what was read.
// Grammar: reference of Darknet's cfg format; besides, "#" and ";" start a comment anywhere in a line.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace dn {

struct Option {
    std::string key, value;
    int line;
};

struct Section {
    std::string type;  // without brackets
    std::string file;
    int line;
    std::vector<Option> options;

    std::string where(const std::string& key = "") const;  // "net.cfg:12 [yolo] mask"
};

struct Cfg {
    std::string file;
    std::vector<Section> sections;
    std::vector<std::string> idle_lines;  // one message for each line that Darknet skips, as "key=" without a value
};

// UTF-8, UTF-16, or lines that end in CR alone, as UTF-8 with LF.
std::string decode_text(std::string_view content);
// Throws Error(cfg) with file:line on anything that is not a section, an option, a comment or blank.
Cfg parse_cfg(std::string_view bytes, const std::string& file);
Cfg read_cfg(const std::string& path);
// A whole file as text; throws Error(io) when it is missing or larger than `limit` bytes.
std::string read_file(const std::string& path, std::size_t limit);

// Typed access to one section. Reading a key makes it known; the unknown keys are those that were not read.
// strict: what is probably a mistake, though Darknet reads it, is an error; else a warning.
class CfgOptions {
public:
    explicit CfgOptions(const Section& section, bool strict = true) : section_(section), strict_(strict) {}

    bool has(const std::string& key);
    int integer(const std::string& key, int fallback);
    int integer(const std::string& key, int fallback, int low, int high);  // range checked
    float real(const std::string& key, float fallback);
    bool flag(const std::string& key, bool fallback = false);
    std::string word(const std::string& key, const std::string& fallback);
    std::vector<int> integers(const std::string& key);
    std::vector<float> reals(const std::string& key);
    // Known keys that the engine does not read: others read them, or they change no result in Darknet either.
    void accept(std::initializer_list<const char*> keys);
    // A known key that changes results in Darknet but not here, and Darknet's default, which needs no message.
    void unsupported(const char* key, float fallback = 0);
    void unsupported(std::initializer_list<const char*> keys);  // default 0

    // One message for each key that was not read, with the closest known key.
    std::vector<std::string> unknown() const;
    // One message for each unsupported key that is set.
    const std::vector<std::string>& without_effect() const { return without_effect_; }
    // What doubt() let pass.
    const std::vector<std::string>& warnings() const { return warnings_; }
    // An error where strict, else a warning.
    void doubt(const std::string& key, const std::string& message);
    // Names the option that was probably meant where the section lacks `key`.
    [[noreturn]] void fail(const std::string& key, const std::string& message) const;
    const Section& section() const { return section_; }

private:
    const Option* find(const std::string& key);

    const Section& section_;
    const bool strict_;
    std::set<std::string> known_;
    std::vector<std::string> without_effect_, warnings_;
};

// The entry of `candidates` nearest to `word` by edit distance, or "" when none is near.
std::string closest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace dn
