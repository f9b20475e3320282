// Request methods that operations use.
#pragma once

#include <cstdint>
#include <string_view>

namespace quarry::http {

enum class Method : uint8_t { kGet, kPost, kPut, kPatch, kDelete, kHead, kOptions, kOther };
inline constexpr size_t kRoutedMethods = 5;  // kGet..kDelete; HEAD is answered by GET

constexpr std::string_view to_string(Method method) {
  constexpr std::string_view names[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "?"};
  return names[static_cast<size_t>(method)];
}

// Any case; kOther if unknown.
Method parse_method(std::string_view name);

}  // namespace quarry::http
