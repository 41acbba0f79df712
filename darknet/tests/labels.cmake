# SPDX-License-Identifier: Apache-2.0
# Read by ctest behind the list of tests: what stands before the colon of a test's name is its label.
foreach(test IN LISTS darknet_tests_TESTS)
  if(test MATCHES "^([a-z]+): ")
    set_tests_properties("${test}" PROPERTIES LABELS "${CMAKE_MATCH_1}")
  endif()
endforeach()
