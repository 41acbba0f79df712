// SPDX-License-Identifier: Apache-2.0
// darknet_compat.h: .data files, class names, and detections as JSON.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>

#include "cfg.hpp"
#include "compat/compat.hpp"

namespace {

using namespace dn::compat;

constexpr std::size_t max_text = std::size_t{64} << 20;

std::string trimmed(const std::string& text) {
    constexpr const char* blanks = " \t\r\n";
    const std::size_t first = text.find_first_not_of(blanks);
    return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::vector<std::string> lines_of(const std::string& content) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < content.size();) {
        const std::size_t end = std::min(content.find('\n', at), content.size());
        lines.push_back(content.substr(at, end - at));
        while (!lines.back().empty() && lines.back().back() == '\r') lines.back().pop_back();
        at = end + 1;
    }
    return lines;
}

std::map<std::string, std::string> read_data(const std::string& path) {
    std::map<std::string, std::string> options;
    for (const std::string& line : lines_of(dn::read_file(path, max_text))) {
        const std::string content = trimmed(line);
        const std::size_t equals = content.find('=');
        if (content.empty() || content[0] == '#' || content[0] == ';' || equals == std::string::npos) continue;
        options.emplace(trimmed(content.substr(0, equals)), trimmed(content.substr(equals + 1)));
    }
    return options;
}

// From the working directory, as Darknet has it, or else beside the .data file.
std::string resolved(const std::string& names, const std::string& data) {
    std::error_code ignored;
    const auto beside = std::filesystem::path(data).parent_path() / names;
    return !std::filesystem::exists(names, ignored) && std::filesystem::exists(beside, ignored) ? beside.string()
                                                                                                : names;
}

int class_count(const std::map<std::string, std::string>& options, const std::string& where) {
    constexpr int without = 2;  // Darknet's
    constexpr long most = 1 << 20;
    const auto found = options.find("classes");
    if (found == options.end()) return without;
    char* end = nullptr;
    const long count = std::strtol(found->second.c_str(), &end, 10);
    if (end == found->second.c_str() || *end || count < 1 || count > most)
        throw dn::Error(dn::Status::cfg, where,
                        dn::text("found classes=", found->second, ", expected a number from 1 to ", most));
    return static_cast<int>(count);
}

char* copy_of(const std::string& text) {
    char* copy = allocate<char>(text.size() + 1);
    std::memcpy(copy, text.data(), text.size());
    return copy;
}

metadata load_metadata(const std::string& path) {
    const auto options = read_data(path);
    const int classes = class_count(options, path);
    auto found = options.find("names");
    if (found == options.end()) found = options.find("labels");
    if (found == options.end()) return {classes, nullptr};
    const std::string file = resolved(found->second, path);
    const std::vector<std::string> names = lines_of(dn::read_file(file, max_text));
    // Clients index names by class without knowing how many there are.
    if (names.size() < static_cast<std::size_t>(classes))
        throw dn::Error(dn::Status::cfg, file,
                        dn::text("found ", names.size(), " class names, ", path, " says classes=", classes));
    // Never freed: clients do not free it, and when they are done with it is unknown.
    char** list = allocate<char*>(names.size() + 1);
    for (std::size_t i = 0; i < names.size(); ++i) list[i] = copy_of(names[i]);
    return {classes, list};
}

std::string quoted(const char* text) {
    std::string out = "\"";
    for (; text && *text; ++text) {
        const auto byte = static_cast<unsigned char>(*text);
        if (byte == '"' || byte == '\\') {
            out += '\\';
            out += *text;
        } else if (byte < 0x20) {
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
            out += escaped;
        } else {
            out += *text;
        }
    }
    return out + '"';
}

std::string object_json(const box& b, int class_id, const char* name, float prob) {
    char numbers[256];
    std::snprintf(numbers, sizeof numbers,
                  "\"relative_coordinates\":{\"center_x\":%f, \"center_y\":%f, \"width\":%f, \"height\":%f}, "
                  "\"confidence\":%f}",
                  b.x, b.y, b.w, b.h, prob);
    return dn::text("  {\"class_id\":", class_id, ", \"name\":", quoted(name), ", ", numbers);
}

bool shown(const char* name) { return name && std::strncmp(name, "dont_show", 9) != 0; }

}  // namespace

metadata get_metadata(char* data_file) {
    return or_else<metadata>({}, [&] { return load_metadata(&dn::need(data_file, "data_file")); });
}

void free_ptrs(void** pointers, int n) {
    if (!pointers) return;
    for (int i = 0; i < n; ++i) std::free(pointers[i]);
    std::free(pointers);
}

char* detection_to_json(detection* dets, int n, int classes, char** names, long long int frame_id, char* filename) {
    return or_else<char*>(nullptr, [&] {
        constexpr float least = 0.005f;
        dn::need(names, "names");
        std::string objects;
        for (int i = 0; i < n; ++i)
            for (int c = 0; c < std::min(classes, (&dn::need(dets, "dets"))[i].classes); ++c)
                if (dets[i].prob[c] > least && shown(names[c]))
                    objects +=
                        (objects.empty() ? "" : ", \n") + object_json(dets[i].bbox, c, names[c], dets[i].prob[c]);
        const std::string file = filename ? dn::text(" \"filename\":", quoted(filename), ", \n") : "";
        return copy_of(
            dn::text("{\n \"frame_id\":", frame_id, ", \n", file, " \"objects\": [ \n", objects, "\n ] \n}"));
    });
}
