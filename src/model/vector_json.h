// Vectors as the API writes them: a list of numbers, {indices, values}, or a list of lists of numbers.
#pragma once

#include "model/collection.h"
#include "model/document.h"

namespace quarry {

// A float32; NaN for what is no number.
float float_of(const json::value& value);

// Each reads into `out` (the name stays). The error says what is wrong, without naming the vector: kBadRequest.
Status read_dense(const json::value& value, DenseVector& out);
// Entries in any order; they come out ascending. Refused: lists of unequal length or empty, an index that is no whole number below 2^32 or
// is there twice, a value that is not finite.
Status read_sparse(const json::value& value, SparseVector& out);
// Refused: no token, tokens of unequal length. `dimension` becomes their length.
Status read_multi(const json::value& value, MultiVector& out, size_t& dimension);

// {name: vector} of all kinds; the collection knows how long a token is.
json::object show_vectors(const Collection& collection, const Document& document);
std::vector<std::string> vector_names(const Document& document);

}  // namespace quarry
