#include "mvs/text/bm25.h"

#include <cmath>

namespace quarry::mvs {

// x = m 2^e with m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh((m - 1) / (m + 1)) by its series, whose 12th term is below 2^-64.
double fixed_log(double x) {
  constexpr double kLn2 = 0.693147180559945309417232121458, kSqrtHalf = 0.707106781186547524400844362105;
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // exact
  if (m < kSqrtHalf) {
    m *= 2;
    --exponent;
  }
  const double s = (m - 1) / (m + 1), square = s * s;
  double sum = 0;
  for (int k = 25; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return exponent * kLn2 + 2 * s * sum;
}

TermWeight term_weight(const FieldStatistics& field, uint64_t df, uint32_t count) {
  const double n = double(field.documents), d = double(df);
  const double idf = fixed_log(1 + (n - d + 0.5) / (d + 0.5));
  TermWeight out;
  out.weight = float(double(count) * idf * (kBm25K1 + 1));
  out.base = float(kBm25K1 * (1 - kBm25B));
  out.slope = float(kBm25K1 * kBm25B * n / double(field.total_length));
  return out;
}

}  // namespace quarry::mvs
