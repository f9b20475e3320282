#include "mvs/cold/ranged_reads.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <numeric>

namespace quarry::mvs {
namespace {

// A gap costs less than a request up to about what a store sends in the time of one.
constexpr uint64_t kMaxGapBytes = 32 << 10;
constexpr uint64_t kMaxReadBytes = 8ull << 20;

struct Read {
  const std::string* key = nullptr;
  uint64_t begin = 0, end = 0;
  std::vector<size_t> parts;  // of `wanted`, in part or whole
};

std::vector<Read> plan_reads(const std::vector<RangeOfObject>& wanted) {
  std::vector<size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return wanted[a].key != wanted[b].key ? wanted[a].key < wanted[b].key : wanted[a].range.offset < wanted[b].range.offset;
  });
  std::vector<Read> out;
  for (const size_t i : order) {
    const auto& [key, range] = wanted[i];
    for (uint64_t at = range.offset, end = range.offset + range.length; at < end;) {
      const bool joins = !out.empty() && *out.back().key == key && at <= out.back().end + kMaxGapBytes &&
                         std::min(end, at + kMaxReadBytes) - out.back().begin <= kMaxReadBytes && at >= out.back().begin;
      const uint64_t stop = std::min(end, at + kMaxReadBytes);
      if (!joins) out.push_back({&key, at, stop, {}});
      out.back().end = std::max(out.back().end, stop);
      out.back().parts.push_back(i);
      at = stop;
    }
  }
  return out;
}

}  // namespace

Result<std::vector<std::string>> read_ranges(objects::ObjectStore& store, Executor* io, const std::vector<RangeOfObject>& wanted,
                                             size_t* failed) {
  std::vector<std::string> out(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) out[i].resize(wanted[i].range.length);
  const std::vector<Read> reads = plan_reads(wanted);
  std::mutex mutex;
  Status status = Ok{};
  const auto fetch = [&](const Read& read) -> Status {
    auto got = store.get_range(*read.key, read.begin, read.end - read.begin);
    if (!got.ok() && got.error().kind == ErrorKind::kNotFound) return corruption(fmt::format("{}: missing", *read.key));
    if (!got.ok()) return std::move(got).error();
    const std::string& bytes = *got;
    if (bytes.size() != read.end - read.begin)
      return corruption(fmt::format("{}: ends at {}, before offset {}", *read.key, read.begin + bytes.size(), read.end));
    for (const size_t i : read.parts) {
      const ByteRange& range = wanted[i].range;
      const uint64_t begin = std::max(range.offset, read.begin), end = std::min(range.offset + range.length, read.end);
      out[i].replace(begin - range.offset, end - begin, bytes, begin - read.begin, end - begin);
    }
    return Ok{};
  };
  parallel_for(io, reads.size(), [&](size_t i) {
    if (auto s = fetch(reads[i]); !s.ok()) {
      std::lock_guard lock(mutex);
      if (status.ok() && failed != nullptr) *failed = reads[i].parts.front();
      if (status.ok()) status = std::move(s);
    }
  });
  QUARRY_RETURN_IF_ERROR(status);
  return out;
}

}  // namespace quarry::mvs
