#include "retrieval/template.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "base/ascii.h"
#include "model/filter.h"

namespace quarry::retrieval {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxTemplates = 100;  // in one string
constexpr size_t kMaxSteps = 32;
constexpr size_t kMaxBoundBytes = 16u << 20;
constexpr size_t kMaxQuoted = 120;  // bytes of a template that a message repeats

enum class Root { kInput, kDocument, kContext, kSecrets };

struct Reference {
  Root root = Root::kInput;
  std::vector<std::string> steps;
  std::string text;  // as written, for messages
};

struct Piece {
  std::string literal;
  std::optional<Reference> reference;
};

Error form_error(const json::array& at, std::string_view text, std::string_view what) {
  return validation_error("template_error", at, fmt::format("template '{}': {}", text.substr(0, kMaxQuoted), what));
}

Result<Root> parse_root(std::string_view name, std::string_view text, const json::array& at) {
  std::string folded = ascii_lower(name);
  if (folded == "input" || folded == "inputs") return Root::kInput;
  if (folded == "doc" || folded == "document") return Root::kDocument;
  if (folded == "context") return Root::kContext;
  if (folded == "secrets" || folded == "secret") return Root::kSecrets;
  return form_error(
      at, text, fmt::format("'{}' is not known here; a template begins with INPUT, DOC, CONTEXT or secrets", name.substr(0, kMaxQuoted)));
}

// "a.b[0].c" after the root.
Result<std::vector<std::string>> parse_steps(std::string_view rest, std::string_view text, const json::array& at) {
  std::vector<std::string> steps;
  while (!rest.empty()) {
    if (steps.size() == kMaxSteps) return form_error(at, text, fmt::format("a path has at most {} steps", kMaxSteps));
    bool is_index = rest.front() == '[';
    size_t end = is_index ? rest.find(']') : std::min(rest.find_first_of(".[", 1), rest.size());
    if (rest.front() != '.' && !is_index) return form_error(at, text, "a path is written as INPUT.name or INPUT.list[0]");
    if (end == std::string_view::npos) return form_error(at, text, "']' is missing");
    std::string_view step = rest.substr(1, end - 1);
    bool digits = std::all_of(step.begin(), step.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (step.empty() || (is_index && !digits)) return form_error(at, text, "a step of the path is empty or not a number");
    steps.emplace_back(step);
    rest.remove_prefix(is_index ? end + 1 : end);
  }
  return steps;
}

Result<Reference> parse_reference(std::string_view inner, const json::array& at) {
  std::string_view path = trimmed(inner, " \t\n");
  if (path.empty()) return form_error(at, inner, "is empty");
  if (path.find_first_of("{}|()\"' +*/") != std::string_view::npos)
    return form_error(at, path, "expressions are not understood here, only paths such as INPUT.query");
  Reference out;
  out.text = std::string(path);
  size_t end = std::min(path.find_first_of(".["), path.size());
  QUARRY_ASSIGN_OR_RETURN(out.root, parse_root(path.substr(0, end), path, at));
  QUARRY_ASSIGN_OR_RETURN(out.steps, parse_steps(path.substr(end), path, at));
  if (out.steps.empty()) return form_error(at, path, "names no value; write for example INPUT.query");
  if (out.root == Root::kSecrets) {
    return Error{ErrorKind::kNotImplemented, fmt::format("template '{}': secrets are not available yet", out.text.substr(0, kMaxQuoted)),
                 json::object{{"retryable", false}, {"location", at}}};
  }
  return out;
}

Result<std::vector<Piece>> parse_pieces(std::string_view text, const json::array& at) {
  std::vector<Piece> pieces;
  size_t templates = 0;
  while (!text.empty()) {
    size_t open = text.find("{{");
    if (open != 0) {
      pieces.push_back({std::string(text.substr(0, open)), std::nullopt});
      if (open == std::string_view::npos) break;
      text.remove_prefix(open);
    }
    size_t close = text.find("}}");
    if (close == std::string_view::npos) return form_error(at, text, "'}}' is missing");
    if (++templates > kMaxTemplates) return form_error(at, "", fmt::format("a string holds at most {} templates", kMaxTemplates));
    QUARRY_ASSIGN_OR_RETURN(Reference reference, parse_reference(text.substr(2, close - 2), at));
    pieces.push_back({"", std::move(reference)});
    text.remove_prefix(close + 2);
  }
  return pieces;
}

// About the bytes that a copy of `v` takes.
size_t weight(const json::value& v) {
  if (v.is_string()) return 16 + v.get_string().size();
  size_t sum = 16;
  if (v.is_array())
    for (const json::value& item : v.get_array()) sum += weight(item);
  if (v.is_object())
    for (const auto& member : v.get_object()) sum += 32 + member.key().size() + weight(member.value());
  return sum;
}

std::string as_text(const json::value& v) {
  if (v.is_string()) return std::string(v.get_string());
  if (v.is_double()) return fmt::format("{}", v.get_double());
  if (v.is_null()) return "";
  return json::serialize(v);
}

const json::value* step_into(const json::value* v, const std::string& step) {
  if (const json::object* o = v->if_object()) return o->if_contains(step);
  const json::array* list = v->if_array();
  size_t index = 0;
  if (list == nullptr) return nullptr;
  auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), index);
  return error == std::errc() && end == step.data() + step.size() && index < list->size() ? &(*list)[index] : nullptr;
}

bool may_hold_template(const json::value& v) { return v.is_string() || v.is_structured(); }

bool is_dynamic(const json::object& o) {
  const json::value* type = o.if_contains("type");
  const json::value* field = o.if_contains("field");
  return o.size() == 2 && type != nullptr && field != nullptr && type->is_string() && type->get_string() == "dynamic" && field->is_string();
}

bool holds_template_within(const json::value& value, int depth) {
  if (depth > kMaxDepth) return true;
  if (value.is_string()) return has_template(value.get_string());
  if (const json::array* list = value.if_array())
    return std::any_of(list->begin(), list->end(), [&](const json::value& item) { return holds_template_within(item, depth + 1); });
  const json::object* o = value.if_object();
  if (o == nullptr) return false;
  return is_dynamic(*o) ||
         std::any_of(o->begin(), o->end(), [&](const auto& member) { return holds_template_within(member.value(), depth + 1); });
}

class TemplateBinder {
 public:
  explicit TemplateBinder(const TemplateScope* scope) : scope_(scope) {}

  Status walk(json::value& value, json::array& at, int depth) {
    if (depth > kMaxDepth) return validation_error("too_deep", at, fmt::format("parameters may be nested at most {} deep", kMaxDepth));
    if (json::string* text = value.if_string()) return has_template(*text) ? string(value, at) : Status(Ok{});
    if (json::array* list = value.if_array()) {
      for (size_t i = 0; i < list->size(); ++i)
        if (may_hold_template((*list)[i])) QUARRY_RETURN_IF_ERROR(child((*list)[i], i, at, depth));
      return Ok{};
    }
    json::object* object = value.if_object();
    if (object == nullptr) return Ok{};
    if (is_dynamic(*object)) return dynamic(value, at);
    for (auto& member : *object) QUARRY_RETURN_IF_ERROR(child(member.value(), json::string(member.key()), at, depth));
    return Ok{};
  }

 private:
  Status child(json::value& value, json::value step, json::array& at, int depth) {
    at.push_back(std::move(step));
    Status status = walk(value, at, depth + 1);
    at.pop_back();
    return status;
  }

  // "INPUT.x", "inputs.x" or the bare name of an input.
  Status dynamic(json::value& value, const json::array& at) {
    std::string path(value.get_object().at("field").get_string());
    std::string root = ascii_lower(std::string_view(path).substr(0, path.find_first_of(".[")));
    bool rooted = root == "input" || root == "inputs" || root == "doc" || root == "document" || root == "context" || root == "secrets";
    QUARRY_ASSIGN_OR_RETURN(Reference reference, parse_reference(rooted ? path : "INPUT." + path, at));
    return replace(value, reference, at);
  }

  Status string(json::value& value, const json::array& at) {
    QUARRY_ASSIGN_OR_RETURN(std::vector<Piece> pieces, parse_pieces(value.get_string(), at));
    if (pieces.size() == 1) return replace(value, *pieces[0].reference, at);
    std::string text;
    for (const Piece& piece : pieces) {
      text += piece.literal;
      if (!piece.reference || scope_ == nullptr) continue;
      QUARRY_ASSIGN_OR_RETURN(const json::value* found, look_up(*piece.reference, at));
      text += as_text(*found);
      QUARRY_RETURN_IF_ERROR(charge(weight(*found), at));
    }
    if (scope_ != nullptr) value = text;
    return Ok{};
  }

  Status replace(json::value& value, const Reference& reference, const json::array& at) {
    if (scope_ == nullptr) return Ok{};
    QUARRY_ASSIGN_OR_RETURN(const json::value* found, look_up(reference, at));
    QUARRY_RETURN_IF_ERROR(charge(weight(*found), at));
    value = *found;
    return Ok{};
  }

  Status charge(size_t bytes, const json::array& at) {
    bound_bytes_ += bytes;
    if (bound_bytes_ <= kMaxBoundBytes) return Ok{};
    return Error{ErrorKind::kPayloadTooLarge, fmt::format("templates yield more than {} MiB", kMaxBoundBytes >> 20),
                 json::object{{"location", at}}};
  }

  Result<const json::value*> look_up(const Reference& reference, const json::array& at) const {
    const json::object* from = reference.root == Root::kInput      ? scope_->inputs
                               : reference.root == Root::kDocument ? scope_->document
                                                                   : scope_->context;
    if (from == nullptr && reference.root == Root::kDocument)
      return form_error(at, reference.text, "DOC is known only to stages that work document by document");
    const json::value* v = from == nullptr ? nullptr : from->if_contains(reference.steps.front());
    for (size_t i = 1; v != nullptr && i < reference.steps.size(); ++i) v = step_into(v, reference.steps[i]);
    if (v != nullptr && !v->is_null()) return v;
    return missing(reference, at);
  }

  static Error missing(const Reference& reference, const json::array& at) {
    if (reference.root != Root::kInput) return form_error(at, reference.text, "names nothing");
    json::array place{"inputs"};
    std::string name;
    for (const std::string& step : reference.steps) {
      place.push_back(json::string(step));
      name += (name.empty() ? "" : ".") + step;
    }
    return validation_error("missing_input", std::move(place),
                            fmt::format("input '{}' is not given and has no default", name.substr(0, kMaxQuoted)));
  }

  const TemplateScope* scope_;  // null: only the form is checked
  size_t bound_bytes_ = 0;
};

}  // namespace

bool has_template(std::string_view text) { return text.find("{{") != std::string_view::npos; }

bool holds_template(const json::value& value) { return holds_template_within(value, 0); }

Status check_templates(const json::value& value, const json::array& location) {
  json::array at = location;
  // Without a scope the walk changes nothing.
  return TemplateBinder(nullptr).walk(const_cast<json::value&>(value), at, 0);
}

Status bind_templates(json::value& value, const TemplateScope& scope, const json::array& location) {
  json::array at = location;
  return TemplateBinder(&scope).walk(value, at, 0);
}

bool is_missing_input(const Error& error) {
  const json::value* list = error.details.if_contains("validation_errors");
  if (list == nullptr || !list->is_array() || list->get_array().empty()) return false;
  const json::value* type = list->get_array()[0].as_object().if_contains("type");
  return type != nullptr && type->is_string() && type->get_string() == "missing_input";
}

}  // namespace quarry::retrieval
