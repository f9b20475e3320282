#include "mvs/text/text_query.h"

#include <fmt/format.h>

#include <map>

#include "mvs/text/word_breaker.h"

namespace quarry::mvs {
namespace {

constexpr size_t kMaxSequence = 4096;

}  // namespace

Result<AnalysedQuery> analyse_query(const TextQuery& query, const Analyzer& analyzer) {
  std::vector<std::string> folded;
  WordBreaker breaker(query.text);
  for (std::string_view word; breaker.next(word);) {
    if (folded.size() == kMaxSequence) return bad_request(fmt::format("the text query has more than {} words", kMaxSequence));
    folded.emplace_back(word);
  }
  std::map<std::pair<std::string, bool>, uint32_t> counts;
  std::vector<std::pair<std::string, bool>> sequence;
  for (size_t i = 0; i < folded.size(); ++i) {
    const bool prefix = query.prefix && i + 1 == folded.size();
    sequence.emplace_back(prefix ? folded[i] : std::string(analyzer.stem(folded[i])), prefix);
    ++counts[sequence.back()];
  }
  if (counts.size() > kMaxQueryWords)
    return bad_request(fmt::format("the text query has {} different words; at most {} are searched", counts.size(), kMaxQueryWords));
  AnalysedQuery out;
  std::map<std::pair<std::string, bool>, size_t> at;
  for (const auto& [word, count] : counts) {
    at[word] = out.words.size();
    out.words.push_back({word.first, word.second ? std::string(analyzer.stem(word.first)) : "", word.second, count});
  }
  for (const auto& word : sequence) out.sequence.push_back(at[word]);
  return out;
}

}  // namespace quarry::mvs
