# One target per folder under src/. `quarry_library(name DEPENDS ...)` builds the folder's sources into a static library `quarry_<name>`
# and its `*_test.cc`, with what lies in a folder `simulation/`, into `bin/<name>_test`. What a folder may include is what it DEPENDS on;
# test/layers_test.py checks the includes.
add_library(quarry_flags INTERFACE)
target_compile_options(quarry_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow=local -Wnon-virtual-dtor -Wno-missing-field-initializers
  # Scores are bit-identical on every machine only if the compiler fuses nothing (ARCHITECTURE.md, "One score").
  -ffp-contract=off)
target_include_directories(quarry_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_link_options(quarry_flags INTERFACE -fuse-ld=mold)

set(QUARRY_SANITIZE "" CACHE STRING "address,undefined or thread")
if(QUARRY_SANITIZE)
  target_compile_options(quarry_flags INTERFACE -fsanitize=${QUARRY_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(quarry_flags INTERFACE -fsanitize=${QUARRY_SANITIZE})
endif()

function(quarry_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "(_test|_main|_battery|_fuzz|/main)\\.cc$|/simulation/")
  list(FILTER tests INCLUDE REGEX "(_test|_battery)\\.cc$|/simulation/")
  if(NOT sources)
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/empty.cc "")
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/empty.cc)
  endif()
  add_library(quarry_${name} STATIC ${sources})
  target_link_libraries(quarry_${name} PUBLIC quarry_flags ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE_DEPENDS})
  quarry_precompile(quarry_${name})
  if(tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE quarry_${name} ${ARG_PRIVATE_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
    quarry_precompile(${name}_test)
    add_test(NAME ${name} COMMAND ${name}_test)
  endif()
endfunction()

function(quarry_precompile target)
  target_precompile_headers(${target} PRIVATE
    <algorithm> <chrono> <cstdint> <functional> <map> <memory> <mutex> <optional> <span> <string> <string_view>
    <unordered_map> <utility> <variant> <vector> <boost/json.hpp> <fmt/format.h>)
endfunction()
