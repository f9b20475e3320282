// Where tests find their files; set by src/extract/CMakeLists.txt.
#pragma once

#include <filesystem>

namespace quarry::extract {

inline std::filesystem::path test_data_dir() { return QUARRY_EXTRACT_DIR; }
inline std::filesystem::path test_models_dir() { return QUARRY_TEST_MODELS_DIR; }
inline std::filesystem::path test_decode_program() { return QUARRY_DECODE_PROGRAM; }

}  // namespace quarry::extract
