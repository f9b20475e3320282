// Orders rows by a field's value. Private to this folder.
#pragma once

#include "retrieval/row.h"

namespace quarry::retrieval {

struct RowOrder {
  std::string field;
  bool descending = true;
  bool nulls_last = true;           // in either direction; missing counts as null
  std::string fallback_field = {};  // orders rows whose `field` is missing or null
};

// Stable: rows that compare equal keep their order. As mvs::SortSpec with `by_time`: numbers by value, texts that are timestamps by time,
// other texts after them by bytes; different types by the order of compare_json().
void sort_rows(std::vector<Row>& rows, const RowOrder& order);

}  // namespace quarry::retrieval
