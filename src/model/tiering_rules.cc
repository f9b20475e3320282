#include "model/tiering_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace quarry {
namespace {

constexpr std::string_view kMembers[] = {"rule_type", "enabled", "threshold_days"};

// Null counts as absent.
const json::value* member(const json::object& rule, std::string_view name) {
  const json::value* value = rule.if_contains(name);
  return value != nullptr && !value->is_null() ? value : nullptr;
}

std::string_view type_of(const json::object& rule) {
  const json::value* type = member(rule, "rule_type");
  return type != nullptr && type->is_string() ? std::string_view(type->get_string()) : std::string_view();
}

bool is_enabled(const json::object& rule) {
  const json::value* enabled = member(rule, "enabled");
  return enabled != nullptr && enabled->is_bool() && enabled->get_bool();
}

std::optional<int64_t> threshold_of(const json::object& rule) {
  const json::value* days = member(rule, "threshold_days");
  if (days == nullptr || !days->is_number()) return std::nullopt;
  const double value = days->to_number<double>();
  if (value < 1 || value > kMaxThresholdDays || value != static_cast<double>(static_cast<int64_t>(value))) return std::nullopt;
  return static_cast<int64_t>(value);
}

Status check_threshold(const json::object& rule, std::string_view type, const json::array& place) {
  json::array location = place;
  location.emplace_back("threshold_days");
  const json::value* days = member(rule, "threshold_days");
  if (type == kAutoRehydrate) {
    if (days == nullptr) return Ok{};
    return validation_error("value_error", std::move(location), "auto_rehydrate has no threshold: leave threshold_days out");
  }
  if (days == nullptr && is_enabled(rule))
    return validation_error("missing", std::move(location), fmt::format("{} needs threshold_days while it is enabled", type));
  if (days == nullptr || threshold_of(rule)) return Ok{};
  return validation_error("greater_than", std::move(location),
                          fmt::format("threshold_days is a whole number of days, from 1 to {}", kMaxThresholdDays));
}

Status check_rule(const json::value& value, const json::array& place, std::set<std::string_view>& types) {
  const auto at = [&](std::string_view name) {
    json::array location = place;
    location.emplace_back(name);
    return location;
  };
  const json::object* rule = value.if_object();
  const std::string_view type = rule != nullptr ? type_of(*rule) : std::string_view();
  if (type != kAutoEvict && type != kAutoArchive && type != kAutoRehydrate)
    return validation_error("enum", at("rule_type"),
                            fmt::format("rule_type is one of {}, {}, {}", kAutoEvict, kAutoArchive, kAutoRehydrate));
  for (const auto& entry : *rule)
    if (std::find(std::begin(kMembers), std::end(kMembers), entry.key()) == std::end(kMembers))
      return validation_error("unknown_field", at(clip(entry.key(), 100)), "a tiering rule has rule_type, enabled and threshold_days");
  if (const json::value* enabled = member(*rule, "enabled"); enabled != nullptr && !enabled->is_bool())
    return validation_error("type_error", at("enabled"), "'enabled' is true or false");
  if (!types.insert(type).second)
    return validation_error("value_error", at("rule_type"),
                            fmt::format("there is one {} rule already: a collection has one of a type", type));
  return check_threshold(*rule, type, place);
}

}  // namespace

Status check_tiering_rules(const json::array& rules) {
  std::set<std::string_view> types;
  for (size_t i = 0; i < rules.size(); ++i) QUARRY_RETURN_IF_ERROR(check_rule(rules[i], {"body", "tiering_rules", i}, types));
  return Ok{};
}

TieringRules read_tiering_rules(const json::object& collection_body) {
  TieringRules out;
  const json::value* rules = collection_body.if_contains("tiering_rules");
  if (rules == nullptr || !rules->is_array()) return out;
  for (const json::value& value : rules->get_array()) {
    const json::object* rule = value.if_object();
    if (rule == nullptr || !is_enabled(*rule)) continue;
    if (type_of(*rule) == kAutoEvict) out.evict_after_days = threshold_of(*rule);
    if (type_of(*rule) == kAutoArchive) out.archive_after_days = threshold_of(*rule);
    if (type_of(*rule) == kAutoRehydrate) out.rehydrate = true;
  }
  return out;
}

}  // namespace quarry
