// Changes and questions drawn at random over full_spec()'s table. For tests only.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "mvs/simulation/oracle.h"
#include "mvs/test_table.h"

namespace quarry::mvs::simulation {

inline constexpr uint64_t kIds = 60;  // documents that are drawn share so many ids
inline constexpr const char* kTable = "col_a";

std::vector<Document> draw_documents(test::DocumentSource& source, uint64_t most);
DocumentPatch draw_patch(test::DocumentSource& source);
SourceReplacement draw_replacement(test::DocumentSource& source);
Filter draw_filter(test::DocumentSource& source);
// One kind of change, or all of them.
WriteBatch draw_batch(test::DocumentSource& source);

// A read, and what it has to answer.
struct Question {
  std::string what;
  std::function<Result<json::value>(VectorStore&)> ask;
  std::function<json::value(const Oracle&)> answer;
  bool may_miss = false;  // an index chooses the candidates: some of the answer's items may be missing, and none be wrong
  size_t most = SIZE_MAX;  // items, with may_miss
};

// `has_indexes`: a search that is not exact may miss some.
Question draw_question(test::DocumentSource& source, bool has_indexes);
// Every document, whole.
Question everything();
// What is wrong with `got`; nullopt: nothing.
std::optional<std::string> fault_of(const Question& question, const json::value& got, const Oracle& oracle);

}  // namespace quarry::mvs::simulation
