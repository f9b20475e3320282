// The query's words in one segment: what the statistics need, then what the scan needs.
#pragma once

#include <memory>

#include "mvs/hot/snapshot.h"
#include "mvs/text/segment_text.h"
#include "mvs/text/text_query.h"

namespace quarry::mvs {

// One word in one field of one segment.
struct FoundWord {
  size_t field = 0, word = 0;
  PostingsReader postings;
  uint32_t live_df = 0;
};

// Owns what the postings point to.
class ViewWords {
 public:
  // The index of every field, built where it is missing.
  static Result<ViewWords> find(const SegmentView& view, const AnalysedQuery& query, const std::vector<std::string>& fields,
                                const Analyzer& analyzer, Executor* executor);

  const std::vector<LiveText>& fields() const { return fields_; }
  const std::vector<FoundWord>& words() const { return words_; }  // by field, then word

 private:
  struct Record {
    std::string postings, positions;
  };

  void find_word(size_t field, size_t word, const QueryWord& what);
  void find_prefix(size_t field, size_t word, const QueryWord& what, const SegmentView& view);

  std::vector<LiveText> fields_;
  std::vector<FoundWord> words_;
  std::vector<std::unique_ptr<const Record>> prefixes_;  // postings of all words that begin alike, made for this query
};

}  // namespace quarry::mvs
