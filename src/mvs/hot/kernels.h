// The canonical scoring arithmetic: the one place where a score's bits are made.
//
// Definition, the same on every instruction set. A sum over n products has kLanes = 32 virtual float32 lanes that start at +0. Element i
// goes to lane i mod 32, in ascending i; a step is one rounded multiplication (or subtraction and multiplication) and one rounded addition:
// nothing is fused. The lanes are then folded by halves: lane j += lane j + 16 for j < 16, then 8, 4, 2, 1. `reference_*` is that text as
// plain C++; the dispatched kernels give the same bits, which a test checks on every target the machine can run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace quarry::mvs {

enum class Metric;

inline constexpr size_t kLanes = 32;

// Pointers need no alignment; the inputs must be finite. None may be null.
struct Kernels {
  float (*dot)(const float* a, const float* b, size_t n);
  float (*squared_distance)(const float* a, const float* b, size_t n);
  // out[r] = dot(q, rows + r * n) for r < count: contiguous rows of n floats.
  void (*dot_rows)(const float* q, const float* rows, size_t n, size_t count, float* out);
  void (*squared_distance_rows)(const float* q, const float* rows, size_t n, size_t count, float* out);
};

// The best set for this machine; chosen once.
const Kernels& kernels();

struct NamedKernels {
  std::string target;  // "AVX3", "AVX2", "SSE4", ...
  Kernels kernels;
};
// Every set this machine can run. For tests: not thread-safe.
std::vector<NamedKernels> all_kernels();

float reference_dot(const float* a, const float* b, size_t n);
float reference_squared_distance(const float* a, const float* b, size_t n);

// A query against one vector column: prepares what does not depend on the row.
class Scorer {
 public:
  // `query` must outlive the scorer.
  Scorer(Metric metric, const float* query, size_t dimension);

  // out[r] = the score of row r. `norms[r]` is norm(row r); only cosine reads it.
  void score_rows(const float* rows, const float* norms, size_t count, float* out) const;
  float score(const float* row, float norm) const;

 private:
  float finish(float raw, const float* row, float norm) const;
  float finish_wide(const float* row) const;

  const Metric metric_;
  const float* const query_;
  const size_t dimension_;
  float query_norm_ = 0;
};

// sqrt(dot(v, v)).
float norm(const float* v, size_t n);

}  // namespace quarry::mvs
