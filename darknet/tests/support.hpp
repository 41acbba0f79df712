// SPDX-License-Identifier: Apache-2.0
// Shared by the tests: temporary folders, graphs from text, the message of an error, and where the fixtures are.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "error.hpp"
#include "graph.hpp"

namespace dn::test {

// Removed with everything in it at the end of the scope.
class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "darknet-test-XXXXXX").string();
        if (!::mkdtemp(name.data())) throw std::runtime_error("cannot create a temporary folder");
        path_ = name;
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::string file(const std::string& name) const { return (path_ / name).string(); }
    std::string write(const std::string& name, const std::string& content) const {
        std::ofstream(file(name), std::ios::binary) << content;
        return file(name);
    }

private:
    std::filesystem::path path_;
};

// The message of the dn::Error that `action` throws, with its status checked; "" when it throws none.
template <class Action>
std::string error_of(Status status, Action action) {
    try {
        action();
    } catch (const Error& error) {
        CHECK(static_cast<int>(error.status()) == static_cast<int>(status));
        return error.what();
    }
    return "";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

inline Graph graph_of(const std::string& cfg) { return build_graph(parse_cfg(cfg, "net.cfg"), true); }

// The folder with the big fixtures (see CONTRIBUTING), or "" when it is not there.
std::string fixtures(const std::string& below);

}  // namespace dn::test

// Fails with the whole message, where a plain CHECK would only say "false".
#define CHECK_CONTAINS(text, part) CHECK_MESSAGE(dn::test::contains(text, part), "found: ", text, "\nexpected: ", part)
