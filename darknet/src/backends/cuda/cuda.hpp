// SPDX-License-Identifier: Apache-2.0
// The cuda backend: NVIDIA GPUs by the driver, NVRTC and cuDNN 9, which it opens at run time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../backend.hpp"

namespace dn {

// Whether device number `device` can be used; `why` becomes the reason if not. Opens the libraries.
bool cuda_available(int device, std::string* why);
std::unique_ptr<Backend> make_cuda_backend(int device);

// What dn_build_info states of the libraries and the GPUs, as JSON.
std::string cuda_info();

// Folders that may hold NVIDIA's libraries, in addition to those of the system's loader.
void set_cuda_folders(std::vector<std::string> folders);

namespace cuda {

struct Libraries;
// The backend on these libraries, as tests have their own.
std::unique_ptr<Backend> make_backend(std::shared_ptr<const Libraries> libraries, int device);

}  // namespace cuda
}  // namespace dn
