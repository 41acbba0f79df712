// SPDX-License-Identifier: Apache-2.0
// Files of what can be made again. Several processes may use one folder: a file appears complete or not at all, and one
// that is damaged counts as missing.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace dn::cuda {

class DiskCache {
public:
    // Files of one kind, which ends their names: "cubin". No folder ("") keeps nothing.
    DiskCache(std::string folder, std::string kind);
    // $XDG_CACHE_HOME/pydarknet/cuda, by default in ~/.cache; "" where neither is known.
    static std::string default_folder();

    // `key` is all that the content depends on.
    std::optional<std::string> read(const std::string& key) const;
    // Where the folder cannot be written, nothing is kept and the next process makes it again.
    void write(const std::string& key, const std::string& content) const;

private:
    std::string path_of(const std::string& key) const;

    std::string folder_, kind_;
};

// A folder with files of all kinds.
struct CacheFacts {
    std::size_t files = 0, bytes = 0;
    std::size_t damaged = 0;  // of the files; they are made again when they are needed
    std::string why_not;      // why nothing is kept; "" where it is
};
CacheFacts inspect_cache(const std::string& folder);

}  // namespace dn::cuda
