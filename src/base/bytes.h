// Numbers in byte strings, little-endian as every layout of ours has them.
#pragma once

#include <bit>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace quarry {

static_assert(std::endian::native == std::endian::little, "layouts are written as numbers lie in memory");

template <class T>
void append_little(std::string& out, T value) {
  static_assert(std::is_arithmetic_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// `bytes` holds a T at `offset`.
template <class T>
T read_little(std::string_view bytes, size_t offset) {
  static_assert(std::is_arithmetic_v<T>);
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

}  // namespace quarry
