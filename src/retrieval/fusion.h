// Fusion of several ranked lists into one score per document. Pure.
//
//   rrf       sum of weight / (60 + rank), rank from 1. Reciprocal rank fusion (Cormack, Clarke, Buettcher, SIGIR 2009).
//   dbsf      sum of weight * clamp((score - (m - 3s)) / 6s, 0, 1); m and s are mean and sample standard deviation of the list's scores; a
//             list whose scores are all equal gives 0.5. Distribution-based score fusion (Mazzeschi 2023).
//   weighted  sum of weight * (score - low) / (high - low) over the list's own scores, divided by the sum of all weights: 0..1. A
//             list whose scores are all equal gives 1.
//   max       the greatest weight * score.
// A document that a list lacks gets nothing from it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace quarry::retrieval {

enum class Fusion { kRrf, kDbsf, kWeighted, kMax };

inline constexpr double kRrfConstant = 60;

struct RankedHit {
  uint32_t document = 0;  // index into the caller's table of distinct documents
  double score = 0;
};

struct RankedList {
  std::vector<RankedHit> hits;  // best first, each document once
  double weight = 1;
};

// kNotImplemented for "learned".
Result<Fusion> parse_fusion(std::string_view name);
std::string_view to_string(Fusion fusion);

// A score for each of `documents` documents, by index; documents in no list get 0.
std::vector<double> fuse(Fusion fusion, std::span<const RankedList> lists, size_t documents);

}  // namespace quarry::retrieval
