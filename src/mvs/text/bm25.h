// How a word of the query weighs. mvs.h defines the score; this is its arithmetic.
#pragma once

#include <cstdint>

#include "mvs/text/text_kernels.h"

namespace quarry::mvs {

inline constexpr double kBm25K1 = 1.2, kBm25B = 0.75;

// Of one field, over the live rows of the snapshot.
struct FieldStatistics {
  uint64_t documents = 0;     // rows with at least one word in the field
  uint64_t total_length = 0;  // words of all of them
};

// ln(x) for x >= 1 in double arithmetic of fixed order: a C library's logarithm may differ in its last bit from machine to machine.
double fixed_log(double x);

// `df` live rows have the word, 1 <= df <= documents; the query has it `count` times.
TermWeight term_weight(const FieldStatistics& field, uint64_t df, uint32_t count);

}  // namespace quarry::mvs
