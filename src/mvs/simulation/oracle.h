// What a table holds and answers, written a second time: a plain map of documents and the definitions of mvs.h, slowly. For tests only.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mvs/mvs.h"

namespace quarry::mvs::simulation {

class Oracle {
 public:
  using Documents = std::map<std::string, Document>;
  struct Ranked {
    float score = 0;
    const Document* document = nullptr;
  };

  // Upserts, patches, replacement, deletes, as VectorStore::write does them at `now_us`. The counts and `missing` of the result are set.
  WriteResult apply(const WriteBatch& batch, TimestampUs now_us);
  uint64_t erase_matching(const Filter& filter);

  const Documents& documents() const { return documents_; }
  std::vector<const Document*> matching(const Filter& filter) const;  // by document_id
  // Every hit of a search by vectors, best first; `k` and `group` are left to the caller.
  std::vector<Ranked> ranked(const SearchRequest& request, Metric metric) const;

 private:
  void patch(const DocumentPatch& patch, TimestampUs now_us);

  Documents documents_;
};

// The members that filters and sorting see.
json::object filter_view(const Document& document);
void sort_documents(const SortSpec& sort, std::vector<const Document*>& documents);
// How many documents have each value of a payload field: the counts alone, most first.
std::vector<uint64_t> facet_counts(const std::vector<const Document*>& documents, const std::string& field);
// What a search keeps of its ranked hits.
std::vector<Oracle::Ranked> keep_groups(const std::vector<Oracle::Ranked>& ranked, const GroupSpec& group);

}  // namespace quarry::mvs::simulation
