// Search by words as mvs.h defines it: every document's words are counted for each query. For tests only.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "mvs/mvs.h"
#include "mvs/text/analyzer.h"

namespace quarry::mvs::simulation {

class TextOracle {
 public:
  struct Hit {
    std::string id;
    float score = 0;
  };

  // `default_fields`: those that a query without fields searches.
  TextOracle(std::vector<Document> documents, std::string_view language, std::vector<std::string> default_fields);

  // Every hit, best first, whatever `k`.
  std::vector<Hit> search(const SearchRequest& request);
  const std::vector<Document>& documents() const { return documents_; }

 private:
  struct Word {
    std::string text;
    bool prefix;
    bool operator<(const Word& o) const { return text != o.text ? text < o.text : prefix < o.prefix; }
  };

  std::map<Word, uint32_t> words() const;
  Word word_at(size_t i) const;
  bool is(const Word& word, const std::string& term) const;
  void add_field(const std::string& field, std::map<std::string, float>& sums, std::map<std::string, std::set<size_t>>& words_of,
                 std::set<std::string>& phrases) const;

  const Analyzer analyzer_;
  const std::vector<std::string> default_fields_;
  const std::vector<Document> documents_;
  std::vector<json::object> filter_views_;  // beside documents_
  std::vector<std::string> sequence_;
  std::string prefix_;
};

}  // namespace quarry::mvs::simulation
