#include "http/suggest.h"

#include <algorithm>
#include <vector>

namespace quarry::http {
namespace {

constexpr size_t kMaxCompared = 64;  // longer names are not worth a guess

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool shares_stem(std::string_view a, std::string_view b) {
  size_t least = std::min(a.size(), b.size());
  if (least < 4) return false;
  for (size_t i = 0; i < least; ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

}  // namespace

size_t edit_distance(std::string_view a, std::string_view b, size_t limit) {
  size_t gap = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (gap > limit) return limit + 1;
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return std::min(last[b.size()], limit + 1);
}

std::string_view nearest_name(std::string_view name, std::span<const std::string_view> known) {
  if (name.empty() || name.size() > kMaxCompared) return {};
  std::string_view best;
  size_t best_distance = std::max<size_t>(1, name.size() / 3) + 1;
  for (std::string_view candidate : known) {
    if (candidate.size() > kMaxCompared) continue;
    size_t distance = edit_distance(name, candidate, best_distance);
    if (distance < best_distance) best = candidate, best_distance = distance;
  }
  if (!best.empty()) return best;
  for (std::string_view candidate : known)
    if (shares_stem(name, candidate) && (best.empty() || candidate.size() < best.size())) best = candidate;
  return best;
}

}  // namespace quarry::http
