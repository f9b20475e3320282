// A collection's tiering rules: how PATCH /v1/collections/{id} takes them, and what they come to.
#pragma once

#include <optional>

#include "base/result.h"

namespace quarry {

inline constexpr std::string_view kAutoEvict = "auto_evict", kAutoArchive = "auto_archive", kAutoRehydrate = "auto_rehydrate";
inline constexpr int64_t kMaxThresholdDays = 36'500;

// The rules that are enabled.
struct TieringRules {
  std::optional<int64_t> evict_after_days;    // 1..kMaxThresholdDays
  std::optional<int64_t> archive_after_days;  // 1..kMaxThresholdDays
  bool rehydrate = false;

  bool any() const { return evict_after_days || archive_after_days || rehydrate; }
  friend bool operator==(const TieringRules&, const TieringRules&) = default;
};

// 422 naming the rule: of an unknown type, two of one type, a threshold that is missing, out of range, or set where the type has none.
Status check_tiering_rules(const json::array& rules);
// Of a collection's body that was checked. What an earlier release stored without a usable threshold counts as disabled.
TieringRules read_tiering_rules(const json::object& collection_body);

}  // namespace quarry
