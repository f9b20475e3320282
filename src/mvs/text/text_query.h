// A text query as its words.
#pragma once

#include <string>
#include <vector>

#include "mvs/mvs.h"
#include "mvs/text/analyzer.h"

namespace quarry::mvs {

struct QueryWord {
  std::string term;      // of a prefix: the folded beginning
  std::string own_term;  // of a prefix: the term of its letters as a whole word; else empty
  bool prefix = false;
  uint32_t count = 1;  // how often the query has it
};

struct AnalysedQuery {
  std::vector<QueryWord> words;  // distinct, ascending by term; of equal ones the prefix last
  std::vector<size_t> sequence;  // the words in the query's order
};

inline constexpr size_t kMaxQueryWords = 512;  // distinct

// kBadRequest if there are more words.
Result<AnalysedQuery> analyse_query(const TextQuery& query, const Analyzer& analyzer);

}  // namespace quarry::mvs
