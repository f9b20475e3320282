#include "retrieval/hydrate.h"

#include <algorithm>

#include "retrieval/targets.h"

namespace quarry::retrieval {
namespace {

struct Shelf {
  const Collection* collection = nullptr;
  std::vector<size_t> rows;  // indexes
};

std::vector<Shelf> shelves_of(const std::vector<Row>& rows) {
  std::vector<Shelf> out;
  for (size_t i = 0; i < rows.size(); ++i) {
    auto found = std::find_if(out.begin(), out.end(), [&](const Shelf& s) { return s.collection == rows[i].collection; });
    if (found == out.end()) found = out.insert(out.end(), Shelf{rows[i].collection, {}});
    found->rows.push_back(i);
  }
  return out;
}

Status read_shelf(const Shelf& shelf, mvs::VectorStore& vectors, std::vector<Row>& rows, std::vector<char>& is_read) {
  std::vector<std::string> ids;
  ids.reserve(shelf.rows.size());
  for (size_t i : shelf.rows) ids.push_back(rows[i].document.document_id);
  QUARRY_ASSIGN_OR_RETURN(std::vector<Document> documents, vectors.get(shelf.collection->table_id(), ids, mvs::Projection{}));
  size_t next = 0;  // documents come in the order asked, absent ones left out
  for (size_t i : shelf.rows) {
    if (next == documents.size()) break;
    if (documents[next].document_id != rows[i].document.document_id) continue;
    rows[i].document = std::move(documents[next++]);
    is_read[i] = 1;
  }
  return Ok{};
}

}  // namespace

Status hydrate(std::vector<Row>& rows, StageRun& run) {
  if (rows.empty()) return Ok{};
  std::vector<Shelf> shelves = shelves_of(rows);
  std::vector<const Collection*> targets;
  for (const Shelf& shelf : shelves) targets.push_back(shelf.collection);
  std::vector<char> is_read(rows.size(), 0);
  int64_t deadline_us = std::exchange(run.deadline_us, run.execution.request.deadline_us);
  Status status = read_targets(run, targets, [&](size_t i) { return read_shelf(shelves[i], *run.execution.env.vectors, rows, is_read); });
  run.deadline_us = deadline_us;
  QUARRY_RETURN_IF_ERROR(status);
  keep_rows(rows, is_read);
  return Ok{};
}

json::object count_tiers(const std::vector<Row>& rows) {
  json::object out;
  for (const Row& row : rows) {
    json::value& count = out[row.tier];
    count = count.is_uint64() ? count.get_uint64() + 1 : uint64_t{1};
  }
  return out;
}

}  // namespace quarry::retrieval
