#include "http/validator.h"

#include <fmt/format.h>

#include <cmath>

#include "base/clock.h"
#include "http/suggest.h"

namespace quarry::http {
namespace {

constexpr size_t kMaxSteps = 20'000'000;
constexpr size_t kShownValue = 80;  // bytes of a value that a message quotes

// Where the checker is: a chain on the stack, written out only for an error.
struct Place {
  const Place* parent;
  std::string_view key;
  size_t index;  // used when key is empty
};

json::array write_location(std::string_view root, const Place* place) {
  std::vector<const Place*> chain;
  for (; place != nullptr; place = place->parent) chain.push_back(place);
  json::array location{json::string(root)};
  for (auto it = chain.rbegin(); it != chain.rend(); ++it) {
    if ((*it)->key.data() != nullptr)
      location.emplace_back((*it)->key);
    else
      location.emplace_back((*it)->index);
  }
  return location;
}

uint8_t type_bits(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return kNullType;
    case json::kind::bool_: return kBoolType;
    case json::kind::int64: return kIntegerType;
    case json::kind::uint64: return kIntegerType | kNumberType;
    case json::kind::double_: return kNumberType;
    case json::kind::string: return kStringType;
    case json::kind::array: return kArrayType;
    case json::kind::object: return kObjectType;
  }
  return 0;
}

bool is_integral(double d) { return std::trunc(d) == d && d >= -0x1p63 && d < 0x1p63; }

bool type_matches(const Schema& schema, const json::value& value) {
  if (schema.types == kAnyType) return true;
  if (value.is_double() && (schema.types & kIntegerType) != 0 && is_integral(value.get_double())) return true;
  if (value.is_uint64() && (schema.types & kNumberType) == 0) return false;  // past int64
  return (schema.types & type_bits(value)) != 0;
}

std::string type_names(uint8_t types) {
  if ((types & kNumberType) != 0) types &= static_cast<uint8_t>(~kIntegerType);
  constexpr std::pair<uint8_t, std::string_view> names[] = {
      {kStringType, "a string"}, {kIntegerType, "an integer"}, {kNumberType, "a number"}, {kBoolType, "a boolean"},
      {kArrayType, "an array"},  {kObjectType, "an object"},   {kNullType, "null"}};
  std::string out;
  for (auto& [bit, name] : names)
    if ((types & bit) != 0) out += (out.empty() ? "" : " or ") + std::string(name);
  return out;
}

std::string_view type_error_code(uint8_t types) {
  if (types == kStringType) return "string_type";
  if (types == kIntegerType) return "int_type";
  if (types == (kIntegerType | kNumberType)) return "float_type";
  if (types == kBoolType) return "bool_type";
  if (types == kArrayType) return "list_type";
  if (types == kObjectType) return "dict_type";
  return "type_error";
}

std::string quote(const json::value& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  std::string text = json::serialize(value);
  if (text.size() <= kShownValue) return text;
  size_t cut = kShownValue;
  while (cut > 0 && (static_cast<uint8_t>(text[cut]) & 0xc0) == 0x80) --cut;
  return text.substr(0, cut) + "...";
}

bool allows_null(const Schema& schema) {
  if ((schema.types & kNullType) != 0) return true;
  for (const Schema* branch : schema.any_of)
    if (allows_null(*branch)) return true;
  return false;
}

size_t count_characters(std::string_view text) {
  size_t count = 0;
  for (unsigned char c : text) count += (c & 0xc0) != 0x80;
  return count;
}

// Checks without changing anything. Which branch of each anyOf was taken is written down in the order met, for the normaliser to follow.
class Checker {
 public:
  explicit Checker(std::string_view root) : root_(root) {}

  bool check(const Schema& schema, const json::value& value, const Place* place) {
    if (++steps_ > kMaxSteps) return fail(place, "too_complex", "the value has too many parts to check");
    if (!type_matches(schema, value)) return fail_type(schema, value, place);
    if (schema.enum_values != nullptr && !in_enum(schema, value)) return fail_enum(schema, value, place);
    bool ok = true;
    switch (value.kind()) {
      case json::kind::string: ok = check_string(schema, value.get_string(), place); break;
      case json::kind::array: ok = check_array(schema, value.get_array(), place); break;
      case json::kind::object: ok = check_object(schema, value.get_object(), place); break;
      case json::kind::int64:
      case json::kind::uint64:
      case json::kind::double_: ok = check_number(schema, value.to_number<double>(), place); break;
      default: break;
    }
    if (!ok && quiet_ > 0) return false;
    if (!schema.any_of.empty()) ok = check_any_of(schema, value, place) && ok;
    return ok;
  }

  std::vector<uint32_t>& choices() { return choices_; }
  Error take_error() { return make_validation_error(std::move(errors_), not_shown_); }

 private:
  bool fail(const Place* place, std::string_view type, std::string message) {
    if (quiet_ > 0) return false;
    if (errors_.size() == kMaxReportedErrors)
      ++not_shown_;
    else
      errors_.push_back(json::object{{"type", type}, {"location", write_location(root_, place)}, {"message", std::move(message)}});
    return false;
  }

  bool fail_type(const Schema& schema, const json::value& value, const Place* place) {
    if (quiet_ > 0) return false;
    return fail(place, type_error_code(schema.types), fmt::format("must be {}, not {}", type_names(schema.types), quote(value)));
  }

  static bool in_enum(const Schema& schema, const json::value& value) {
    for (const json::value& allowed : *schema.enum_values)
      if (allowed == value) return true;
    return false;
  }

  bool fail_enum(const Schema& schema, const json::value& value, const Place* place) {
    if (quiet_ > 0) return false;
    std::string allowed;
    for (const json::value& item : *schema.enum_values) allowed += (allowed.empty() ? "" : ", ") + json::serialize(item);
    return fail(place, "enum", fmt::format("{} is not one of {}", quote(value), allowed));
  }

  bool check_string(const Schema& schema, std::string_view text, const Place* place) {
    if (schema.min_length > 0 || schema.max_length < text.size()) {
      size_t length = count_characters(text);
      if (length < schema.min_length)
        return fail(place, "string_too_short", fmt::format("must have at least {} characters", schema.min_length));
      if (length > schema.max_length)
        return fail(place, "string_too_long", fmt::format("must have at most {} characters, has {}", schema.max_length, length));
    }
    if (schema.pattern && !re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *schema.pattern))
      return fail(place, "string_pattern_mismatch", "must match " + schema.pattern->pattern());
    if (schema.date_time && !parse_timestamp(text).ok())
      return fail(place, "datetime_parsing", fmt::format("{} is not an ISO 8601 date and time", quote(json::value(text))));
    return true;
  }

  bool check_number(const Schema& schema, double number, const Place* place) {
    if (!std::isfinite(number)) return fail(place, "finite_number", "must be a finite number");
    if (number < schema.minimum) return fail(place, "greater_than_equal", fmt::format("must be at least {}", schema.minimum));
    if (number > schema.maximum) return fail(place, "less_than_equal", fmt::format("must be at most {}", schema.maximum));
    return true;
  }

  bool check_array(const Schema& schema, const json::array& array, const Place* place) {
    if (array.size() < schema.min_items) return fail(place, "too_short", fmt::format("must have at least {} items", schema.min_items));
    if (array.size() > schema.max_items)
      return fail(place, "too_long", fmt::format("must have at most {} items, has {}", schema.max_items, array.size()));
    if (schema.items == nullptr) return true;
    if (schema.items->plain_number()) return check_numbers(*schema.items, array, place);
    bool ok = true;
    for (size_t i = 0; i < array.size(); ++i) {
      Place here{place, {}, i};
      ok = check(*schema.items, array[i], &here) && ok;
      if (!ok && quiet_ > 0) return false;
    }
    return ok;
  }

  // Vectors: nothing but the kind of each element to look at; the decoder lets no infinity through.
  bool check_numbers(const Schema& item, const json::array& array, const Place* place) {
    for (size_t i = 0; i < array.size(); ++i) {
      if (array[i].is_number()) continue;
      Place here{place, {}, i};
      return fail_type(item, array[i], &here);
    }
    return true;
  }

  bool check_object(const Schema& schema, const json::object& object, const Place* place) {
    if (schema.properties.empty() && schema.additional == nullptr)
      return schema.open || object.empty() || check_unknown(schema, object, place);
    std::vector<const json::key_value_pair*> given(schema.properties.size(), nullptr);
    bool ok = true;
    for (const auto& member : object) {
      Place here{place, member.key(), 0};
      size_t index = schema.find(member.key());
      ok = (index == SIZE_MAX ? check_extra(schema, member, &here) : check_property(schema, index, given, member, &here)) && ok;
      if (!ok && quiet_ > 0) return false;
    }
    return check_required(schema, given, place) && ok;
  }

  bool check_unknown(const Schema& schema, const json::object& object, const Place* place) {
    for (const auto& member : object) {
      Place here{place, member.key(), 0};
      if (!check_extra(schema, member, &here) && quiet_ > 0) return false;
    }
    return false;
  }

  bool check_extra(const Schema& schema, const json::key_value_pair& member, const Place* place) {
    if (schema.additional != nullptr) return check(*schema.additional, member.value(), place);
    if (schema.open) return true;
    if (quiet_ > 0) return false;
    if (errors_.size() == kMaxReportedErrors) return fail(place, "extra_forbidden", {});  // only counted
    std::vector<std::string_view> known;
    for (const Property& property : schema.properties) known.push_back(property.name);
    for (const Alias& alias : schema.aliases) known.push_back(alias.name);
    std::string_view near = nearest_name(member.key(), known);
    std::string message = near.empty() ? "unknown field" : fmt::format("unknown field; did you mean '{}'?", near);
    return fail(place, "extra_forbidden", std::move(message));
  }

  bool check_property(const Schema& schema, size_t index, std::vector<const json::key_value_pair*>& given,
                      const json::key_value_pair& member, const Place* place) {
    const Property& property = schema.properties[index];
    // Null means absent; a required member is then reported as missing.
    if (member.value().is_null() && !property.schema->unconstrained() && !allows_null(*property.schema)) return true;
    if (given[index] != nullptr && given[index]->value() != member.value())
      return fail(place, "alias_conflict",
                  fmt::format("'{}' and '{}' mean the same field and differ", std::string_view(given[index]->key()),
                              std::string_view(member.key())));
    if (given[index] != nullptr) return true;  // the twin was checked, and is the one kept
    given[index] = &member;
    return check(*property.schema, member.value(), place);
  }

  bool check_required(const Schema& schema, const std::vector<const json::key_value_pair*>& given, const Place* place) {
    bool ok = true;
    for (size_t i = 0; i < given.size(); ++i) {
      if (given[i] != nullptr || !schema.properties[i].required) continue;
      Place here{place, schema.properties[i].name, 0};
      ok = fail(&here, "missing", "is required");
      if (quiet_ > 0) return false;
    }
    return ok;
  }

  // A look at the surface, enough to tell most branches apart: type, required and unknown members, members with a single allowed value.
  static int affinity(const Schema& schema, const json::value& value) {
    if (!type_matches(schema, value)) return -1000;
    if (schema.enum_values != nullptr && !in_enum(schema, value)) return -500;
    if (!value.is_object() || schema.properties.empty()) return 0;
    const json::object& object = value.get_object();
    int score = 1;
    for (const auto& member : object) {
      size_t index = schema.find(member.key());
      if (index == SIZE_MAX) {
        score -= schema.open ? 0 : 10;
        continue;
      }
      const Schema& property = *schema.properties[index].schema;
      bool tells = property.enum_values != nullptr && !in_enum(property, member.value());
      score += tells ? (property.enum_values->size() == 1 ? -100 : -20) : 1;
    }
    for (const Property& property : schema.properties)
      if (property.required && !object.contains(property.name)) score -= 5;
    return score;
  }

  bool check_any_of(const Schema& schema, const json::value& value, const Place* place) {
    size_t slot = choices_.size();
    choices_.push_back(0);
    size_t best = 0;
    int best_affinity = INT_MIN;
    size_t of_type = 0;
    for (size_t i = 0; i < schema.any_of.size(); ++i) {
      int score = affinity(*schema.any_of[i], value);
      of_type += score > -1000;
      if (score > best_affinity) best_affinity = score, best = i;
    }
    if (of_type == 0) return fail_no_branch(schema, value, place);
    if (of_type > 1 && try_branches(schema, value, place, slot, best)) return true;
    if (of_type > 1 && quiet_ > 0) return false;
    choices_.resize(slot + 1);
    choices_[slot] = static_cast<uint32_t>(best);
    return check(*schema.any_of[best], value, place);  // the likeliest branch says what is wrong
  }

  bool try_branches(const Schema& schema, const json::value& value, const Place* place, size_t slot, size_t likeliest) {
    ++quiet_;
    bool found = try_branch(schema, likeliest, value, place, slot);
    for (size_t i = 0; i < schema.any_of.size() && !found; ++i)
      if (i != likeliest) found = try_branch(schema, i, value, place, slot);
    --quiet_;
    return found;
  }

  bool try_branch(const Schema& schema, size_t branch, const json::value& value, const Place* place, size_t slot) {
    choices_.resize(slot + 1);
    choices_[slot] = static_cast<uint32_t>(branch);
    return check(*schema.any_of[branch], value, place);
  }

  bool fail_no_branch(const Schema& schema, const json::value& value, const Place* place) {
    if (quiet_ > 0) return false;
    uint8_t types = 0;
    for (const Schema* branch : schema.any_of) types |= branch->types;
    return fail(place, "type_error", fmt::format("must be {}, not {}", type_names(types), quote(value)));
  }

  std::string_view root_;
  std::vector<uint32_t> choices_;
  json::array errors_;
  size_t not_shown_ = 0;
  size_t steps_ = 0;
  int quiet_ = 0;  // above 0: a branch is tried; stop at the first fault and report none
};

// Follows the checker's steps over a value that passed. Members are visited in the same order.
class Normalizer {
 public:
  explicit Normalizer(std::vector<uint32_t> choices) : choices_(std::move(choices)) {}

  void apply(const Schema& schema, json::value& value) {
    switch (value.kind()) {
      case json::kind::array: apply_array(schema, value.get_array()); break;
      case json::kind::object: apply_object(schema, value.get_object()); break;
      case json::kind::int64:
      case json::kind::uint64:
      case json::kind::double_: apply_number(schema, value); break;
      default: break;
    }
    if (!schema.any_of.empty()) apply(*schema.any_of[choices_[next_++]], value);
  }

 private:
  static void apply_number(const Schema& schema, json::value& value) {
    if (schema.types == kIntegerType && value.is_double()) value = static_cast<int64_t>(value.get_double());
    if ((schema.types & kNumberType) != 0 && !value.is_double()) value = value.to_number<double>();
  }

  void apply_array(const Schema& schema, json::array& array) {
    if (schema.items == nullptr) return;
    if (schema.items->plain_number()) {
      for (json::value& item : array)
        if (!item.is_double()) item = item.to_number<double>();
      return;
    }
    for (json::value& item : array) apply(*schema.items, item);
  }

  void apply_object(const Schema& schema, json::object& object) {
    if (schema.properties.empty() && schema.additional == nullptr) return;
    std::vector<std::string_view> canonical(schema.properties.size());
    bool changed = false;
    for (auto& member : object) {
      size_t index = schema.find(member.key());
      if (index == SIZE_MAX) {
        if (schema.additional != nullptr) apply(*schema.additional, member.value());
        continue;
      }
      const Property& property = schema.properties[index];
      bool drop = member.value().is_null() && !property.schema->unconstrained() && !allows_null(*property.schema);
      bool twin = !drop && canonical[index].data() != nullptr;
      changed |= drop || twin || property.name != member.key();
      if (drop || twin) continue;
      canonical[index] = member.key();
      apply(*property.schema, member.value());
    }
    if (changed) rebuild(schema, object, canonical);
  }

  // Keeps the members in their order, each under its property's name.
  static void rebuild(const Schema& schema, json::object& object, const std::vector<std::string_view>& canonical) {
    json::object out(object.storage());
    out.reserve(object.size());
    for (auto& member : object) {
      size_t index = schema.find(member.key());
      if (index == SIZE_MAX)
        out.emplace(member.key(), std::move(member.value()));
      else if (canonical[index].data() == member.key().data())
        out.emplace(schema.properties[index].name, std::move(member.value()));
    }
    object = std::move(out);
  }

  std::vector<uint32_t> choices_;
  size_t next_ = 0;
};

}  // namespace

Error make_validation_error(json::array errors, size_t not_shown) {
  std::string message = "request validation failed";
  if (!errors.empty()) {
    const json::object& first = errors[0].as_object();
    std::string where;
    for (const json::value& step : first.at("location").as_array()) {
      if (step.is_string())
        where += (where.empty() ? "" : ".") + std::string(step.get_string());
      else
        where += fmt::format("[{}]", step.to_number<int64_t>());
    }
    message = fmt::format("{}: {}", where, std::string_view(first.at("message").as_string()));
    size_t more = errors.size() - 1 + not_shown;
    if (more > 0) message += fmt::format(" (and {} more)", more);
  }
  json::object details{{"validation_errors", std::move(errors)}};
  if (not_shown > 0) details["errors_not_shown"] = not_shown;
  return {ErrorKind::kValidation, std::move(message), std::move(details)};
}

Status validate_value(const Schema& schema, json::value& value, std::string_view root) {
  Checker checker(root);
  if (!checker.check(schema, value, nullptr)) return checker.take_error();
  Normalizer(std::move(checker.choices())).apply(schema, value);
  return Ok{};
}

}  // namespace quarry::http
