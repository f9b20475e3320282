#include "mvs/simulation/text_oracle.h"

#include "mvs/simulation/oracle.h"
#include "mvs/text/bm25.h"
#include "mvs/text/word_breaker.h"

namespace quarry::mvs::simulation {
namespace {

std::vector<std::string> terms_of(const Analyzer& analyzer, std::string_view text) {
  std::vector<std::string> out;
  WordBreaker words(text);
  for (std::string_view word; words.next(word);) out.emplace_back(analyzer.stem(word));
  return out;
}

// A field's value as lists of terms, one for each text in it.
std::vector<std::vector<std::string>> texts_of(const Analyzer& analyzer, const json::object& payload, std::string_view field) {
  std::vector<std::vector<std::string>> out;
  const auto* value = payload.if_contains(field);
  if (value != nullptr && value->is_string()) out.push_back(terms_of(analyzer, value->get_string()));
  if (value != nullptr && value->is_array())
    for (const auto& item : value->get_array())
      if (item.is_string()) out.push_back(terms_of(analyzer, item.get_string()));
  return out;
}

}  // namespace

TextOracle::TextOracle(std::vector<Document> documents, std::string_view language, std::vector<std::string> default_fields)
    : analyzer_(*Analyzer::make(language)), default_fields_(std::move(default_fields)), documents_(std::move(documents)) {
  for (const Document& d : documents_) filter_views_.push_back(filter_view(d));
}

std::vector<TextOracle::Hit> TextOracle::search(const SearchRequest& request) {
  const auto& query = std::get<TextQuery>(request.query);
  sequence_ = terms_of(analyzer_, query.text);
  prefix_.clear();
  if (query.prefix && !sequence_.empty()) {
    std::string_view word;
    for (WordBreaker words(query.text); words.next(word);) prefix_ = word;
  }
  std::set<std::string> fields(query.fields.begin(), query.fields.end());
  if (fields.empty()) fields.insert(default_fields_.begin(), default_fields_.end());
  std::map<std::string, float> sums;
  std::map<std::string, std::set<size_t>> words_of;
  std::set<std::string> phrases;
  for (const auto& field : fields) add_field(field, sums, words_of, phrases);
  std::vector<Hit> out;
  for (size_t i = 0; i < documents_.size(); ++i) {
    const Document& d = documents_[i];
    const auto sum = sums.find(d.document_id);
    if (sum == sums.end() || !matches(request.filter, filter_views_[i])) continue;
    if (query.match == TextQuery::Match::kAll && words_of[d.document_id].size() < words().size()) continue;
    if (query.match == TextQuery::Match::kPhrase && !phrases.contains(d.document_id)) continue;
    if (request.min_score && sum->second < *request.min_score) continue;
    out.push_back({d.document_id, sum->second});
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.score != b.score ? a.score > b.score : a.id < b.id; });
  return out;
}

std::map<TextOracle::Word, uint32_t> TextOracle::words() const {
  std::map<Word, uint32_t> out;
  for (size_t i = 0; i < sequence_.size(); ++i) ++out[word_at(i)];
  return out;
}

TextOracle::Word TextOracle::word_at(size_t i) const {
  const bool prefix = !prefix_.empty() && i + 1 == sequence_.size();
  return {prefix ? prefix_ : sequence_[i], prefix};
}

bool TextOracle::is(const Word& word, const std::string& term) const {
  return word.prefix ? term.starts_with(word.text) || term == analyzer_.stem(word.text) : term == word.text;
}

void TextOracle::add_field(const std::string& field, std::map<std::string, float>& sums, std::map<std::string, std::set<size_t>>& words_of,
                           std::set<std::string>& phrases) const {
  std::vector<std::vector<std::vector<std::string>>> texts;
  std::vector<uint32_t> lengths;
  uint64_t n = 0, total = 0;
  for (const Document& d : documents_) {
    texts.push_back(texts_of(analyzer_, d.payload, field));
    uint32_t length = 0;
    for (const auto& t : texts.back()) length += uint32_t(t.size());
    lengths.push_back(length);
    n += length > 0;
    total += length;
  }
  size_t at = 0;
  for (const auto& [word, count] : words()) {
    std::vector<uint32_t> tf(documents_.size());
    for (size_t i = 0; i < texts.size(); ++i)
      for (const auto& text : texts[i])
        for (const auto& term : text) tf[i] += is(word, term);
    const auto df = size_t(std::count_if(tf.begin(), tf.end(), [](uint32_t c) { return c > 0; }));
    const double idf = fixed_log(1 + (double(n) - double(df) + 0.5) / (double(df) + 0.5));
    const auto w = float(double(count) * idf * (1.2 + 1));
    const auto s = float(1.2 * 0.75 * double(n) / double(total));
    const auto base = float(1.2 * (1 - 0.75));
    for (size_t i = 0; i < texts.size(); ++i) {
      if (tf[i] == 0) continue;
      const float length_part = s * float(lengths[i]);
      const float norm = base + length_part;
      const float top = w * float(tf[i]);
      float& sum = sums[documents_[i].document_id];
      sum = sum + top / (float(tf[i]) + norm);
      words_of[documents_[i].document_id].insert(at);
    }
    ++at;
  }
  for (size_t i = 0; i < texts.size(); ++i)
    for (const auto& text : texts[i])
      for (size_t start = 0; start + sequence_.size() <= text.size(); ++start) {
        size_t k = 0;
        while (k < sequence_.size() && is(word_at(k), text[start + k])) ++k;
        if (k == sequence_.size()) phrases.insert(documents_[i].document_id);
      }
}

}  // namespace quarry::mvs::simulation
