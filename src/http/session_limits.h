// How long a connection is waited for, and in what pieces it is read.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quarry::http {

inline constexpr size_t kReadBodyBytes = 256 << 10;
inline constexpr int64_t kProgressMs = 20'000;  // a transfer that stands still this long is ended
inline constexpr int64_t kLeastBytesPerMs = 1;        // ... and so is one slower than 1 kB/s, after a grace
inline constexpr int64_t kTransferGraceMs = 30'000;

}  // namespace quarry::http
