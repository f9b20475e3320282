// "did you mean": the known name that is closest to the one given.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace quarry {

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal string alignment), without regard to ASCII
// case. Names longer than 64 bytes are compared by their first 64.
size_t edit_distance(std::string_view a, std::string_view b);

// Empty if `known` is. Ties go to the earlier one.
std::string_view nearest_name(std::string_view given, std::span<const std::string> known);

}  // namespace quarry
