#include "retrieval/row.h"

#include <algorithm>
#include <array>

#include "base/clock.h"
#include "model/lineage_texts.h"

namespace quarry::retrieval {
namespace {

constexpr std::array<std::string_view, 7> kOthers{"document_id", "collection_id", "score",          "_source_tier",
                                                  "created_at",  "updated_at",    "processing_tier"};

const json::value* text_field(const std::string& text, json::value& scratch) {
  if (text.empty()) return nullptr;
  scratch = text;
  return &scratch;
}

const json::value* own_member(const Row& row, std::string_view name, json::value& scratch) {
  for (const LineageText& m : kLineageTexts)
    if (name == m.name) return text_field(row.document.lineage.*m.member, scratch);
  if (name == "document_id") return text_field(row.document.document_id, scratch);
  if (name == "collection_id") return row.collection == nullptr ? nullptr : text_field(row.collection->collection_id, scratch);
  if (name == "_source_tier") return text_field(row.tier, scratch);
  if (name == "score") {
    scratch = row.score;
  } else if (name == "processing_tier") {
    scratch = row.document.lineage.processing_tier;
  } else {
    scratch = format_timestamp(name == "created_at" ? row.document.created_at : row.document.updated_at);
  }
  return &scratch;
}

bool all_match(const std::vector<Filter>& filters, const Row& row) {
  return std::all_of(filters.begin(), filters.end(), [&](const Filter& f) { return matches_row(f, row); });
}

bool any_matches(const std::vector<Filter>& filters, const Row& row) {
  return std::any_of(filters.begin(), filters.end(), [&](const Filter& f) { return matches_row(f, row); });
}

}  // namespace

bool is_result_member(std::string_view name) {
  return std::find(kOthers.begin(), kOthers.end(), name) != kOthers.end() ||
         std::any_of(kLineageTexts.begin(), kLineageTexts.end(), [&](const LineageText& m) { return m.name == name; });
}

const json::value* row_field(const Row& row, std::string_view path, json::value& scratch) {
  if (is_result_member(path)) return own_member(row, path, scratch);
  return read_path(row.document.payload, path, scratch);
}

bool matches_row(const Filter& filter, const Row& row) {
  switch (filter.kind) {
    case Filter::Kind::kAnd: return all_match(filter.children, row);
    case Filter::Kind::kOr: return any_matches(filter.children, row);
    case Filter::Kind::kNot: return !any_matches(filter.children, row);
    case Filter::Kind::kCondition: break;
  }
  if (!is_result_member(filter.field)) return matches(filter, row.document.payload);
  json::value scratch;
  return matches_condition(filter, row_field(row, filter.field, scratch));
}

bool ranks_before(const Row& a, const Row& b) {
  if (a.score != b.score) return a.score > b.score;
  if (int c = a.document.document_id.compare(b.document.document_id)) return c < 0;
  return a.collection != nullptr && b.collection != nullptr && a.collection->collection_id < b.collection->collection_id;
}

void keep_rows(std::vector<Row>& rows, const std::vector<char>& keep) {
  size_t kept = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!keep[i]) continue;
    if (kept != i) rows[kept] = std::move(rows[i]);
    ++kept;
  }
  rows.erase(rows.begin() + static_cast<ptrdiff_t>(kept), rows.end());
}

void write_document_members(const Document& document, json::object& out) {
  out["document_id"] = document.document_id;
  for (const LineageText& m : kLineageTexts)
    if (!(document.lineage.*m.member).empty()) out[m.name] = document.lineage.*m.member;
  out["processing_tier"] = document.lineage.processing_tier;
  out["created_at"] = format_timestamp(document.created_at);
  out["updated_at"] = format_timestamp(document.updated_at);
}

}  // namespace quarry::retrieval
