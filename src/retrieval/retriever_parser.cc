// Retrievers as clients write them -> ParsedRetriever. Three forms of a stage are read:
//   {stage_name, stage_type, config: {stage_id, parameters}}                the one that is stored
//   {stage_type, stage_id, parameters}                                      also with `params`, or with the stage's id as stage_type
//   {type: <stage id>, ...parameters}                                       of the published client
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "model/json_schema.h"
#include "model/nearest_name.h"
#include "retrieval/stage.h"

namespace quarry::retrieval {
namespace {

constexpr size_t kMaxStages = 50;
constexpr size_t kMaxCollections = 100;
constexpr std::array<std::string_view, 5> kCommonMembers{"stage_name", "description", "batch_size", "on_error", "output_alias"};
constexpr std::array<std::string_view, 5> kStageTypes{"filter", "sort", "reduce", "apply", "enrich"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Error unknown_member(std::string_view name, std::vector<std::string> known, const json::array& at) {
  return validation_error(
      "unknown_field", extended(at, json::string(name)),
      fmt::format("field '{}' of a stage is not known; did you mean '{}'?", name.substr(0, 100), nearest_name(name, known)));
}

// A stage taken apart, before its parameters are looked at.
struct StageForm {
  std::string stage_id;
  std::string stage_type;  // as given; may be empty
  json::object parameters;
  json::array parameters_at;
};

class FormReader {
 public:
  FormReader(const json::object& source, const json::array& at) : source_(source), at_(at) {}

  Result<StageForm> read() const {
    if (member(source_, "config") != nullptr) return configured();
    bool is_typed =
        member(source_, "type") != nullptr && member(source_, "stage_id") == nullptr && member(source_, "stage_type") == nullptr;
    return is_typed ? typed() : flat();
  }

 private:
  static const json::value* member(const json::object& o, std::string_view name) {
    const json::value* v = o.if_contains(name);
    return v == nullptr || v->is_null() ? nullptr : v;
  }

  Result<std::string> text(const json::object& o, std::string_view name, const json::array& at) const {
    const json::value* v = member(o, name);
    if (v == nullptr) return std::string();
    if (!v->is_string())
      return validation_error("type_error", extended(at, json::string(name)), fmt::format("'{}' of a stage must be a string", name));
    return std::string(v->get_string());
  }

  Status take_parameters(const json::object& o, const json::array& at, StageForm& form) const {
    for (std::string_view name : {"parameters", "params"}) {
      const json::value* v = member(o, name);
      if (v == nullptr || !form.parameters_at.empty()) continue;
      if (!v->is_object())
        return validation_error("type_error", extended(at, json::string(name)), fmt::format("'{}' of a stage must be an object", name));
      form.parameters = v->get_object();
      form.parameters_at = extended(at, json::string(name));
    }
    return Ok{};
  }

  Result<StageForm> configured() const {
    json::array at = extended(at_, "config");
    const json::object* config = source_.at("config").if_object();
    if (config == nullptr) return validation_error("type_error", at, "'config' of a stage must be an object {stage_id, parameters}");
    StageForm form;
    QUARRY_ASSIGN_OR_RETURN(form.stage_id, text(*config, "stage_id", at));
    for (const auto& m : *config)
      if (m.key() != "stage_id" && m.key() != "parameters" && m.key() != "params")
        return unknown_member(m.key(), {"stage_id", "parameters"}, at);
    QUARRY_RETURN_IF_ERROR(take_parameters(*config, at, form));
    QUARRY_RETURN_IF_ERROR(outer(form, true));
    if (form.parameters_at.empty()) form.parameters_at = extended(at, "parameters");
    return form;
  }

  Result<StageForm> flat() const {
    StageForm form;
    QUARRY_RETURN_IF_ERROR(outer(form, false));
    if (form.parameters_at.empty()) form.parameters_at = extended(at_, "parameters");
    return form;
  }

  // stage_type, stage_id and parameters beside the common members.
  Status outer(StageForm& form, bool has_config) const {
    for (const auto& m : source_) {
      bool known = contains(kCommonMembers, m.key()) || m.key() == "stage_type" || m.key() == "stage_id" || m.key() == "parameters" ||
                   m.key() == "params" || (has_config && m.key() == "config");
      if (!known)
        return unknown_member(
            m.key(),
            {"stage_name", "stage_type", "stage_id", "config", "parameters", "description", "batch_size", "on_error", "output_alias"}, at_);
    }
    QUARRY_RETURN_IF_ERROR(take_parameters(source_, at_, form));
    QUARRY_ASSIGN_OR_RETURN(form.stage_type, text(source_, "stage_type", at_));
    QUARRY_ASSIGN_OR_RETURN(std::string id, text(source_, "stage_id", at_));
    if (form.stage_id.empty()) form.stage_id = id;
    if (form.stage_id.empty() && !contains(kStageTypes, form.stage_type)) form.stage_id = std::exchange(form.stage_type, "");
    return Ok{};
  }

  Result<StageForm> typed() const {
    StageForm form;
    QUARRY_ASSIGN_OR_RETURN(form.stage_id, text(source_, "type", at_));
    for (const auto& m : source_)
      if (m.key() != "type" && !contains(kCommonMembers, m.key())) form.parameters[m.key()] = m.value();
    form.parameters_at = at_;
    return form;
  }

  const json::object& source_;
  const json::array& at_;
};

Status check_stage_type(const Stage& stage, const StageForm& form, const json::array& at) {
  std::string_view category = to_string(stage.definition().category);
  if (form.stage_type.empty() || form.stage_type == category) return Ok{};
  return validation_error(
      "value_error", extended(at, "stage_type"),
      fmt::format("stage '{}' is of stage_type '{}', not '{}'", form.stage_id, category, form.stage_type.substr(0, 100)));
}

Status copy_common(const json::object& source, const json::array& at, json::object& out) {
  for (std::string_view name : kCommonMembers) {
    const json::value* v = source.if_contains(name);
    if (v == nullptr || v->is_null() || name == "stage_name") continue;
    if (!v->is_string())
      return validation_error("type_error", extended(at, json::string(name)), fmt::format("'{}' of a stage must be a string", name));
    out[name] = *v;
  }
  std::string on_error = text_of(out, "on_error");
  if (on_error.empty() || on_error == "skip" || on_error == "fail" || on_error == "raise") return Ok{};
  return validation_error("enum", extended(at, "on_error"), "on_error of a stage is 'skip' or 'fail'");
}

Result<std::string> stage_name_of(const json::object& source, const StageForm& form, const json::array& at) {
  const json::value* v = source.if_contains("stage_name");
  if (v == nullptr || v->is_null()) return form.stage_id;
  if (!v->is_string() || v->get_string().empty() || v->get_string().size() > 255)
    return validation_error("value_error", extended(at, "stage_name"), "'stage_name' is a string of 1 to 255 bytes");
  return std::string(v->get_string());
}

Result<json::object> normalize_stage(const json::value& source, const json::array& at) {
  const json::object* o = source.if_object();
  if (o == nullptr) return validation_error("type_error", at, "a stage must be an object");
  QUARRY_ASSIGN_OR_RETURN(StageForm form, FormReader(*o, at).read());
  if (form.stage_id.empty()) return validation_error("missing", extended(at, "config"), "a stage needs 'config' with its 'stage_id'");
  QUARRY_ASSIGN_OR_RETURN(const Stage* stage, find_stage(form.stage_id, at));
  QUARRY_RETURN_IF_ERROR(check_stage_type(*stage, form, at));
  QUARRY_RETURN_IF_ERROR(stage->normalize(form.parameters, form.parameters_at));
  QUARRY_RETURN_IF_ERROR(check_templates(json::value(form.parameters), form.parameters_at));
  QUARRY_RETURN_IF_ERROR(check_json(stage->definition().parameter_schema, form.parameters, form.parameters_at,
                                    {.allow_templates = true, .fill_defaults = false}));
  QUARRY_RETURN_IF_ERROR(stage->check(form.parameters, form.parameters_at, Form::kStored));
  QUARRY_ASSIGN_OR_RETURN(std::string name, stage_name_of(*o, form, at));
  json::object out{{"stage_name", name},
                   {"stage_type", to_string(stage->definition().category)},
                   {"config", {{"stage_id", form.stage_id}, {"parameters", std::move(form.parameters)}}}};
  QUARRY_RETURN_IF_ERROR(copy_common(*o, at, out));
  return out;
}

Result<ParsedStage> parse_stage(const json::object& normal, const json::array& at) {
  const json::object& config = normal.at("config").as_object();
  ParsedStage out;
  out.stage_id = config.at("stage_id").as_string();
  out.stage_name = normal.at("stage_name").as_string();
  out.parameters = config.at("parameters").as_object();
  out.output_alias = text_of(normal, "output_alias");
  out.on_error = text_of(normal, "on_error");
  if (out.on_error == "raise") out.on_error = "fail";
  QUARRY_ASSIGN_OR_RETURN(const Stage* stage, find_stage(out.stage_id, at));
  out.category = stage->definition().category;
  return out;
}

const json::value* any_member(const json::object& body, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) {
    const json::value* v = body.if_contains(name);
    if (v != nullptr && !v->is_null()) return v;
  }
  return nullptr;
}

Status parse_collections(const json::object& body, ParsedRetriever& out) {
  const json::value* list = any_member(body, {"collection_identifiers", "collection_ids"});
  if (list == nullptr) return Ok{};
  json::array at{"body", "collection_identifiers"};
  if (!list->is_array()) return validation_error("type_error", at, "'collection_identifiers' must be a list of collection ids or names");
  if (list->get_array().size() > kMaxCollections)
    return validation_error("value_error", at, fmt::format("a retriever reads at most {} collections", kMaxCollections));
  for (const json::value& item : list->get_array()) {
    if (!item.is_string() || item.get_string().empty())
      return validation_error("type_error", extended(at, out.collection_ids.size()), "a collection's id or name must be a string");
    std::string identifier(item.get_string());
    if (std::find(out.collection_ids.begin(), out.collection_ids.end(), identifier) == out.collection_ids.end())
      out.collection_ids.push_back(std::move(identifier));
  }
  return Ok{};
}

Status parse_budget(const json::object& body, ParsedRetriever& out) {
  const json::value* v = any_member(body, {"budget_limits"});
  if (v == nullptr) return Ok{};
  static const json::object kSchema = parse_schema_text(
      R"({"type": "object", "properties": {"max_credits": {"type": "number", "minimum": 0}, "max_time_ms": {"type": "integer", "minimum": 0}}})");
  json::value checked = *v;
  QUARRY_RETURN_IF_ERROR(check_json(kSchema, checked, {"body", "budget_limits"}));
  const json::object& limits = checked.get_object();
  // 0 is how forms send "no limit".
  if (int64_t ms = integer_of(limits, "max_time_ms", 0); ms > 0) out.max_time_ms = ms;
  if (limits.contains("max_credits")) out.max_credits = number_of(limits, "max_credits", 0);
  return Ok{};
}

}  // namespace

Result<json::array> normalize_stages(const json::array& stages) {
  json::array at{"body", "stages"};
  if (stages.empty()) return validation_error("missing", at, "a retriever needs at least one stage");
  if (stages.size() > kMaxStages) return validation_error("value_error", at, fmt::format("a retriever has at most {} stages", kMaxStages));
  json::array out;
  for (const json::value& stage : stages) {
    QUARRY_ASSIGN_OR_RETURN(json::object normal, normalize_stage(stage, extended(at, out.size())));
    out.push_back(std::move(normal));
  }
  return out;
}

Result<ParsedRetriever> parse_retriever(const json::object& body) {
  ParsedRetriever out;
  out.retriever_id = text_of(body, "retriever_id");
  out.retriever_name = text_of(body, "retriever_name");
  QUARRY_RETURN_IF_ERROR(parse_collections(body, out));
  QUARRY_RETURN_IF_ERROR(parse_budget(body, out));
  if (const json::value* schema = any_member(body, {"input_schema"})) {
    QUARRY_ASSIGN_OR_RETURN(out.input_schema, parse_schema(*schema));
  }
  const json::value* stages = any_member(body, {"stages"});
  if (stages == nullptr || !stages->is_array()) return validation_error("missing", {"body", "stages"}, "'stages' must be a list of stages");
  QUARRY_ASSIGN_OR_RETURN(json::array normal, normalize_stages(stages->get_array()));
  for (const json::value& stage : normal) {
    QUARRY_ASSIGN_OR_RETURN(ParsedStage parsed, parse_stage(stage.as_object(), {"body", "stages", out.stages.size()}));
    out.stages.push_back(std::move(parsed));
  }
  return out;
}

}  // namespace quarry::retrieval
