// SPDX-License-Identifier: Apache-2.0
// NVIDIA's libraries, opened by name while the program runs: none of them is needed to build or to load libdarknet.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "abi.hpp"
#include "embedded_code.hpp"

namespace dn::cuda {

// What was opened. `missing` is the reason why a library was not, or cannot be used; "" when it can.
struct Libraries {
    abi::Driver driver;
    std::string driver_missing;
    int driver_version = 0;  // the newest CUDA that it supports: 12040 is 12.4

    abi::Nvrtc nvrtc;
    std::string nvrtc_missing;
    int nvrtc_version = 0;               // likewise
    std::vector<EmbeddedCode> embedded;  // where NVRTC need not compile

    abi::Dnn dnn;
    std::string dnn_missing;
    int dnn_version = 0;  // 91002 is 9.10.2

    abi::Nccl nccl;  // for several GPUs alone: without it the backend computes
    std::string nccl_missing;
    int nccl_version = 0;  // 22703 is 2.27.3

    long process = 0;  // that opened them; CUDA cannot be used in one that it forks
};

// Searches PYDARKNET_CUDA_PATH (folders separated by colons), what the process has loaded already, `folders`, then
// where the system's loader does. The libraries stay loaded until the process ends.
std::shared_ptr<const Libraries> open_libraries(const std::vector<std::string>& folders);

// Those of this process, opened on first use from the folders that set_library_folders() was given before.
std::shared_ptr<const Libraries> libraries();
// Folders in which they may lie. Libraries that are in use stay as they are; missing ones are searched again.
void set_library_folders(std::vector<std::string> folders);

// 12040 as "12.4", 91002 as "9.10.2", 22703 as "2.27.3".
std::string cuda_version_text(int version);
std::string dnn_version_text(int version);
std::string nccl_version_text(int version);

}  // namespace dn::cuda
