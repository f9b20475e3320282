// A document on its way through the stages. Private to this folder.
#pragma once

#include <string>
#include <vector>

#include "model/collection.h"
#include "model/document.h"
#include "model/filter.h"

namespace quarry::retrieval {

struct FeatureScore {
  std::string feature_uri;
  double score = 0;
};

struct Row {
  const Collection* collection = nullptr;  // outlives the row
  Document document;
  double score = 1;  // what a filter lets through matches wholly
  std::string tier = "active";
  std::vector<FeatureScore> feature_scores;  // of the last feature_search
  bool is_fused = false;                     // `score` is a fusion of them
};

// What sorts, filters and groups see of a row under a dotted path: the result's own members (document_id, collection_id, score,
// _source_tier, created_at, updated_at and the lineage fields) before the payload's. Null pointer: missing. The value lives in the row or
// in `scratch`.
const json::value* row_field(const Row& row, std::string_view path, json::value& scratch);

// As matches() of model/filter.h, over row_field().
bool matches_row(const Filter& filter, const Row& row);

// Score descending, then document_id ascending, then collection_id ascending.
bool ranks_before(const Row& a, const Row& b);

// Drops the rows whose flag is 0, without copying the others.
void keep_rows(std::vector<Row>& rows, const std::vector<char>& keep);

// The names of a result that payload members cannot take.
bool is_result_member(std::string_view name);

// Adds the lineage fields that are set, document_id, created_at and updated_at.
void write_document_members(const Document& document, json::object& out);

}  // namespace quarry::retrieval
