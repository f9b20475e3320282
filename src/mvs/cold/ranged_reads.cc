#include "mvs/cold/ranged_reads.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <numeric>

namespace quarry::mvs {
namespace {

// A gap costs less than a request up to about what a store sends in the time that it takes to answer one.
constexpr uint64_t kMaxGapBytes = 256 << 10;
constexpr uint64_t kMaxJoinedBytes = 2ull << 20;  // of ranges read as one: more of them come faster beside each other
constexpr uint64_t kMaxReadBytes = 8ull << 20;
constexpr uint64_t kMaxRangeBytes = 16ull << 30;  // a file that says more is damaged, or made to fill memory

struct Read {
  const std::string* key = nullptr;
  uint64_t begin = 0, end = 0;
};

// A range, in part or whole, within a read.
struct Part {
  size_t read = 0;
  uint64_t begin = 0, end = 0;  // in the object
};

}  // namespace

class RangedRead {
 public:
  explicit RangedRead(const std::vector<RangeOfObject>& wanted) : wanted_(wanted), parts_(wanted.size()) { plan(); }

  Result<RangedBytes> run(objects::ObjectStore& store, Executor* io, size_t* failed) {
    RangedBytes out;
    out.runs_.resize(reads_.size());
    std::mutex mutex;
    Status status = Ok{};
    parallel_for(io, reads_.size(), [&](size_t i) {
      auto bytes = fetch(store, reads_[i]);
      if (bytes.ok()) {
        out.runs_[i] = std::move(bytes).value();
        return;
      }
      std::lock_guard lock(mutex);
      if (status.ok() && failed != nullptr) *failed = first_in(i);
      if (status.ok()) status = std::move(bytes).error();
    });
    QUARRY_RETURN_IF_ERROR(status);
    locate(out);
    return out;
  }

 private:
  void plan() {
    std::vector<size_t> order(wanted_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return wanted_[a].key != wanted_[b].key ? wanted_[a].key < wanted_[b].key : wanted_[a].range.offset < wanted_[b].range.offset;
    });
    for (const size_t i : order) {
      const auto& [key, range] = wanted_[i];
      const uint64_t end = range.offset + range.length;
      for (uint64_t at = range.offset; at < end;) {
        const uint64_t stop = std::min(end, at + kMaxReadBytes);
        if (!joins_last(key, at, stop)) reads_.push_back({&key, at, stop});
        reads_.back().end = std::max(reads_.back().end, stop);
        parts_[i].push_back({reads_.size() - 1, at, stop});
        at = stop;
      }
    }
  }

  bool joins_last(const std::string& key, uint64_t begin, uint64_t end) const {
    if (reads_.empty() || *reads_.back().key != key) return false;
    if (begin < reads_.back().begin || begin > reads_.back().end + kMaxGapBytes) return false;
    return end <= reads_.back().end || end - reads_.back().begin <= kMaxJoinedBytes;
  }

  static Result<std::string> fetch(objects::ObjectStore& store, const Read& read) {
    auto got = store.get_range(*read.key, read.begin, read.end - read.begin);
    if (!got.ok() && got.error().kind == ErrorKind::kNotFound) return corruption(fmt::format("{}: missing", *read.key));
    if (got.ok() && got->size() != read.end - read.begin)
      return corruption(fmt::format("{}: ends at {}, before offset {}", *read.key, read.begin + got->size(), read.end));
    return got;
  }

  size_t first_in(size_t read) const {
    const auto in = [&](const std::vector<Part>& parts) {
      return std::any_of(parts.begin(), parts.end(), [&](const Part& part) { return part.read == read; });
    };
    return size_t(std::find_if(parts_.begin(), parts_.end(), in) - parts_.begin());
  }

  void locate(RangedBytes& out) const {
    const auto piece = [&](const Part& part) {
      return std::string_view(out.runs_[part.read]).substr(part.begin - reads_[part.read].begin, part.end - part.begin);
    };
    out.joined_.reserve(parts_.size());  // what lies in it stays where it is
    for (const auto& parts : parts_) {
      if (parts.size() == 1) {
        out.ranges_.push_back(piece(parts.front()));
        continue;
      }
      std::string& whole = out.joined_.emplace_back();
      for (const Part& part : parts) whole += piece(part);
      out.ranges_.push_back(whole);
    }
  }

  const std::vector<RangeOfObject>& wanted_;
  std::vector<Read> reads_;
  std::vector<std::vector<Part>> parts_;  // of each range
};

Result<RangedBytes> read_ranges(objects::ObjectStore& store, Executor* io, const std::vector<RangeOfObject>& wanted, size_t* failed) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto& [offset, length] = wanted[i].range;
    if (length <= kMaxRangeBytes && offset <= UINT64_MAX - length) continue;
    if (failed != nullptr) *failed = i;
    return corruption(fmt::format("{}: no part of it can have {} bytes at offset {}", wanted[i].key, length, offset));
  }
  return RangedRead(wanted).run(store, io, failed);
}

}  // namespace quarry::mvs
