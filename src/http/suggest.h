// The known name nearest to one that was mistyped.
#pragma once

#include <span>
#include <string_view>

namespace quarry::http {

// Edits (insert, delete, replace, swap of neighbours; Damerau 1964, restricted form) that turn `a` into `b`, case aside; `limit + 1` if
// more.
size_t edit_distance(std::string_view a, std::string_view b, size_t limit);

// The nearest of `known`, or nothing if none is near: at most a third of the letters differ, or one name begins with the other.
std::string_view nearest_name(std::string_view name, std::span<const std::string_view> known);

}  // namespace quarry::http
