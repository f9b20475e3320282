// One condition whose field is a column: by a look at each row, or by the column's index.
#pragma once

#include <optional>

#include "model/filter.h"
#include "mvs/hot/value_column.h"
#include "mvs/hot/value_index.h"
#include "mvs/hot/word_index.h"

namespace quarry::mvs {

// A condition's answers: rows that match, and rows that the column can't answer for, which are asked of their documents. Both have a bit
// per row of the segment.
struct ColumnAnswer {
  explicit ColumnAnswer(size_t rows) : matching(rows), unsure(rows) {}
  Bitmap matching, unsure;
};

// Among `candidates`, by looking at each.
ColumnAnswer scan_column(const Filter& condition, const ValueColumn& column, const Bitmap& candidates);
// The same through the index of the column. nullopt: looking at each is cheaper.
std::optional<ColumnAnswer> ask_index(const Filter& condition, const ValueColumn& column, const ValueIndex& index, const Bitmap& candidates,
                                      size_t candidate_count);

// A condition on words, through the index of a column of texts.
ColumnAnswer ask_words(const Filter& condition, const ValueColumn& column, const WordIndex& index, const Bitmap& candidates);

bool is_timestamp(const json::value& value);  // a text that is one
bool is_ordering(FilterOp op);
bool is_about_words(FilterOp op);  // text, words, phrase
// Whether a column value that is not null decides the condition even where the JSON column holds another form of it: numbers compare by
// value, times by instant.
bool value_is_exact(const Filter& condition, ColumnKind kind);

}  // namespace quarry::mvs
