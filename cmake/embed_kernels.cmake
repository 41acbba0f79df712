# SPDX-License-Identifier: Apache-2.0
# Writes a C++ file with the text of each kernel file.
# usage: cmake -DOUT=kernel_sources.cpp -DFILES="a.cuh;b.cuh" -P embed_kernels.cmake
set(text "// Generated from darknet/src/backends/cuda/kernels.\n#include \"backends/cuda/compiler.hpp\"\n\n")
string(APPEND text "namespace dn::cuda {\n\nconst std::vector<KernelSource>& kernel_sources() {\n")
string(APPEND text "    static const std::vector<KernelSource> sources = {\n")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} content)
  string(APPEND text "        {\"${name}\", R\"kernel(${content})kernel\"},\n")
endforeach()
string(APPEND text "    };\n    return sources;\n}\n\n}  // namespace dn::cuda\n")
file(WRITE ${OUT} "${text}")
