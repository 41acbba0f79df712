// SPDX-License-Identifier: Apache-2.0
// Its own file: the path would make every other test another translation unit in every checkout.
#include <cstdlib>
#include <filesystem>

#include "support.hpp"

namespace dn::test {

std::string fixtures(const std::string& below) {
    const char* folder = std::getenv("PYDARKNET_FIXTURES");
    const std::string path = std::string(folder ? folder : DN_FIXTURES) + "/fixtures/" + below;
    return std::filesystem::exists(path) ? path : "";
}

}  // namespace dn::test
