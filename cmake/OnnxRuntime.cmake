# ONNX Runtime: imported target quarry_onnxruntime; include <onnxruntime_cxx_api.h>.
# A system ONNX Runtime is used where CMake finds one; otherwise the library of the Python wheel in .deps/venv with the headers
# that ./run setup unpacked into .deps/onnxruntime (older than the library: they ask for an older version of its C interface).
find_package(onnxruntime QUIET CONFIG)

if(onnxruntime_FOUND)
  message(STATUS "ONNX Runtime ${onnxruntime_VERSION}: the system's")
  add_library(quarry_onnxruntime ALIAS onnxruntime::onnxruntime)
  return()
endif()

set(quarry_ort_dir "${PROJECT_SOURCE_DIR}/.deps/onnxruntime")
set(quarry_ort_include "${quarry_ort_dir}/usr/include/onnxruntime")
if(NOT EXISTS "${quarry_ort_include}/onnxruntime_cxx_api.h" OR NOT EXISTS "${quarry_ort_dir}/lib/libonnxruntime.so.1")
  message(FATAL_ERROR "ONNX Runtime is neither installed nor in .deps/onnxruntime: run ./run setup first")
endif()

add_library(quarry_onnxruntime SHARED IMPORTED GLOBAL)
set_target_properties(quarry_onnxruntime PROPERTIES
  IMPORTED_LOCATION "${quarry_ort_dir}/lib/libonnxruntime.so.1"
  INTERFACE_INCLUDE_DIRECTORIES "${quarry_ort_include}"
  INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${quarry_ort_include}")
message(STATUS "ONNX Runtime: ${quarry_ort_dir}")
