// Orders rows by a field's value. Private to this folder.
#pragma once

#include "retrieval/row.h"

namespace quarry::retrieval {

struct RowOrder {
  std::string field;
  bool descending = true;
  bool nulls_last = true;  // in either direction; missing counts as null
};

// Stable: rows that compare equal keep their order. Numbers by value, strings by bytes, but by time where every string of the field is a
// timestamp; different types by the order of compare_json().
void sort_rows(std::vector<Row>& rows, const RowOrder& order);

}  // namespace quarry::retrieval
