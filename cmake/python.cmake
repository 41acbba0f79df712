# SPDX-License-Identifier: Apache-2.0
# pydarknet/engine/_ffi: cffi's API mode over libdarknet. The declarations are cut out of darknet.h, so they cannot drift.
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.SABIModule)

set(FFI_SOURCE ${CMAKE_CURRENT_BINARY_DIR}/_ffi.c)
add_custom_command(
  OUTPUT ${FFI_SOURCE}
  COMMAND ${Python_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/cmake/generate_ffi.py
          ${CMAKE_CURRENT_SOURCE_DIR}/darknet/include/darknet.h ${FFI_SOURCE}
  DEPENDS cmake/generate_ffi.py darknet/include/darknet.h
  VERBATIM)
python_add_library(_ffi MODULE WITH_SOABI USE_SABI 3.10 ${FFI_SOURCE})
target_include_directories(_ffi PRIVATE darknet/include)
target_link_libraries(_ffi PRIVATE darknet)
target_compile_options(_ffi PRIVATE -Wno-error -w) # generated code
set_target_properties(_ffi PROPERTIES BUILD_RPATH "$ORIGIN" INSTALL_RPATH "$ORIGIN")

if(DN_PYTHON_INPLACE)
  set_target_properties(_ffi darknet PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/pydarknet/engine)
else() # installed beside one in place, the older of the two could be the one that is imported
  install(TARGETS darknet _ffi LIBRARY DESTINATION pydarknet/engine)
endif()
install(FILES darknet/include/darknet.h darknet/include/darknet_compat.h darknet/include/yolo_v2_class.hpp
        DESTINATION pydarknet/engine/include)
