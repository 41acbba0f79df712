# SPDX-License-Identifier: Apache-2.0
# Writes a C++ file with the text of each kernel file and of those that kernels share with the host, which are named by
# their path in ROOT.
# usage: cmake -DOUT=kernel_sources.cpp -DROOT=src -DFILES="src/backends/cuda/kernels/a.cuh;src/b.cuh"
#        -P embed_kernels.cmake
set(text "// Generated from the kernel files.\n#include \"backends/cuda/compiler.hpp\"\n\n")
string(APPEND text "namespace dn::cuda {\n\nconst std::vector<KernelSource>& kernel_sources() {\n")
string(APPEND text "    static const std::vector<KernelSource> sources = {\n")
foreach(file ${FILES})
  file(RELATIVE_PATH name ${ROOT} ${file})
  string(REPLACE "backends/cuda/kernels/" "" name ${name})
  file(READ ${file} content)
  string(APPEND text "        {\"${name}\", R\"kernel(${content})kernel\"},\n")
endforeach()
string(APPEND text "    };\n    return sources;\n}\n\n}  // namespace dn::cuda\n")
file(WRITE ${OUT} "${text}")
