// A stored text index that is read as queries need it: its words and the rows' lengths at first, then the postings of the words asked for.
// docs/formats/text_index.md, "Reading it in parts".
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mvs/text/text_index.h"
#include "mvs/text/text_query.h"

namespace quarry::mvs {

// One caller at a time; what index() gives may be read meanwhile, as far as load() brought it.
class TextIndexParts {
 public:
  // Fetches ranges of the stored index, in one round trip; as long as they were asked for.
  using Fetch = std::function<Result<std::vector<std::string>>(const std::vector<TextIndex::Section>&)>;

  // Of `size` bytes and `rows` rows. Two round trips. kCorruption names `name` and the offset. Null: of another version of the format or
  // the analysis.
  static Result<std::unique_ptr<TextIndexParts>> open(uint64_t size, uint32_t rows, std::string name, const Fetch& fetch);

  const std::shared_ptr<const TextIndex>& index() const { return index_; }
  // Makes sure that the postings of the query's words are there, and their positions where the query needs them. At most one round trip.
  // Errors as open()'s.
  Status load(const AnalysedQuery& query, bool with_positions, const Fetch& fetch);
  uint64_t memory_bytes() const { return pages_held_ * page_bytes(); }

 private:
  struct Term {
    TextTerm term;
    bool with_positions = false;
  };
  enum class Checked : uint8_t { kNot, kPostings, kAll };

  TextIndexParts(uint64_t size, std::string name);
  static uint64_t page_bytes();
  std::string_view bytes() const { return {buffer_.get(), size_}; }
  void put(uint64_t offset, std::string_view bytes);
  // Compares the checksums of the pages [begin, end) and marks them as held.
  Status admit(size_t begin, size_t end);
  std::vector<Term> terms_of(const AnalysedQuery& query, bool with_positions) const;
  void want(std::string_view part, std::vector<bool>& pages) const;
  Status fetch_pages(const std::vector<bool>& pages, const Fetch& fetch);
  Status check(const Term& term);

  const uint64_t size_;
  const std::string name_;
  std::shared_ptr<char> buffer_;  // of the whole index; the system gives memory for what is written alone
  TextIndex::Section checksums_;
  std::vector<bool> held_;        // of each page
  uint64_t pages_held_ = 0;
  std::shared_ptr<const TextIndex> index_;
  std::vector<Checked> checked_;  // of each term
};

}  // namespace quarry::mvs
