// What text search derives from a segment: an inverted index for each field that was ever searched, and what the deleted rows take from its
// statistics.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/executor.h"
#include "mvs/text/analyzer.h"
#include "mvs/text/text_index.h"
#include "mvs/warm/deletion_vector.h"

namespace quarry::mvs {

class Segment;

// What the deleted rows of one version take away from an index. Thread-safe; a term is counted when it is first asked for.
class DeadText {
 public:
  DeadText(std::shared_ptr<const TextIndex> index, std::shared_ptr<const Bitmap> deleted);

  const Bitmap* deleted() const { return deleted_.get(); }
  uint32_t documents() const { return documents_; }
  uint64_t total_length() const { return total_length_; }
  uint32_t df(const TextTerm& term) const;

 private:
  const std::shared_ptr<const TextIndex> index_;
  const std::shared_ptr<const Bitmap> deleted_;
  uint32_t documents_ = 0;
  uint64_t total_length_ = 0;
  mutable std::mutex mutex_;
  mutable std::unordered_map<uint32_t, uint32_t> df_;  // by the term's ordinal
};

// Rows of `deleted` among the postings.
uint32_t count_dead(const PostingsReader& postings, const Bitmap& deleted);

// One field of a segment at one version.
struct LiveText {
  std::shared_ptr<const TextIndex> index;
  std::shared_ptr<const DeadText> dead;  // null: no row is deleted

  uint32_t documents() const { return index->documents() - (dead != nullptr ? dead->documents() : 0); }
  uint64_t total_length() const { return index->total_length() - (dead != nullptr ? dead->total_length() : 0); }
  uint32_t df(const TextTerm& term) const { return term.postings.df() - (dead != nullptr ? dead->df(term) : 0); }
};

// Thread-safe. Of concurrent callers that need the same index one builds it and the others wait.
class SegmentText {
 public:
  // `deleted` may be null. The index is built at the first call, on `executor` where it is large. kCorruption if a stored payload does not
  // parse.
  Result<LiveText> field(const Segment& segment, const std::string& field, const Analyzer& analyzer, std::shared_ptr<const Bitmap> deleted,
                         Executor* executor);
  // An index that was made before, of the same rows; one that is there stays.
  void adopt(const std::string& field, std::shared_ptr<const TextIndex> index);
  // Fields whose index is there.
  std::vector<std::string> fields() const;
  uint64_t memory_bytes() const;

 private:
  struct Field {
    mutable std::mutex mutex;
    std::shared_ptr<const TextIndex> index;
    std::shared_ptr<const DeadText> dead[2];  // of the newest versions that were asked for
  };

  std::shared_ptr<Field> field_of(const std::string& name);

  mutable std::mutex mutex_;  // of the map
  std::map<std::string, std::shared_ptr<Field>, std::less<>> fields_;
};

}  // namespace quarry::mvs
