#include "model/nearest_name.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"

namespace quarry {
namespace {

constexpr size_t kMaxCompared = 64;

}  // namespace

size_t edit_distance(std::string_view a, std::string_view b) {
  a = a.substr(0, kMaxCompared);
  b = b.substr(0, kMaxCompared);
  using Line = std::array<size_t, kMaxCompared + 1>;
  Line before{}, previous{}, current{};
  for (size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      bool same = ascii_lower(a[i - 1]) == ascii_lower(b[j - 1]);
      size_t best = std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (same ? 0 : 1)});
      bool swapped = i > 1 && j > 1 && ascii_lower(a[i - 1]) == ascii_lower(b[j - 2]) && ascii_lower(a[i - 2]) == ascii_lower(b[j - 1]);
      current[j] = swapped ? std::min(best, before[j - 2] + 1) : best;
    }
    before = previous;
    previous = current;
  }
  return previous[b.size()];
}

std::string_view nearest_name(std::string_view given, std::span<const std::string> known) {
  std::string_view best;
  size_t least = SIZE_MAX;
  for (const std::string& name : known) {
    size_t distance = edit_distance(given, name);
    if (distance < least) {
      least = distance;
      best = name;
    }
  }
  return best;
}

}  // namespace quarry
