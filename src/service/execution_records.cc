#include "service/execution_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/hash.h"
#include "service/binding.h"
#include "service/internals.h"
#include "service/json_access.h"
#include "service/listing.h"
#include "service/resources.h"
#include "service/retrieval_environment.h"
#include "service/retriever_execution.h"

namespace quarry::service {
namespace {

constexpr size_t kMaxSummaryBytes = 200;
constexpr size_t kMaxInputsBytes = 2'048;  // longer inputs are kept as their hash alone; numbers count eight

// The first text among the inputs, cut at a character's boundary.
std::string query_summary(const json::object& inputs) {
  std::string_view text;
  for (const auto& input : inputs)
    if (input.value().is_string() && text.empty()) text = input.value().get_string();
  size_t end = std::min(text.size(), kMaxSummaryBytes);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end));
}

int64_t most_processed(const json::array& stages) {
  int64_t most = 0;
  for (const auto& stage : stages)
    for (std::string_view name : {"input_count", "output_count"})
      most = std::max(most, integer_member(stage.as_object(), name).value_or(0));
  return most;
}

Result<catalog::Resource> find_execution(const RequestContext& context, const Dependencies& deps, const std::string& parent,
                                         const std::string& id) {
  deps.internals->executions.flush_for_read();
  auto found = deps.catalog->get(catalog::kind::kExecution, namespace_scope(context), id);
  bool absent = !found.ok() && found.error().kind == ErrorKind::kNotFound;
  if (absent || (found.ok() && found->parent_id != parent)) return not_found(fmt::format("execution '{}' does not exist", id));
  return found;
}

Result<catalog::Resource> execution_of_request(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto retriever, find_resource(context, deps, catalog::kind::kRetriever, request.param("retriever_id")));
  return find_execution(context, deps, retriever.id, request.param("execution_id"));
}

struct Records {
  catalog::ResourcePage found;
  json::object pagination;
};

Result<Records> list_records(const RequestContext& context, const Dependencies& deps, const std::string& parent, const Request& request) {
  QUARRY_ASSIGN_OR_RETURN(auto page, parse_page(request));
  deps.internals->executions.flush_for_read();
  catalog::ListQuery query;
  query.kind = catalog::kind::kExecution;
  query.scope = namespace_scope(context);
  query.parent_id = parent;
  query.with_total = true;
  QUARRY_RETURN_IF_ERROR(set_page(page, query));
  std::vector<Filter> filters;
  if (const json::object* given = object_member(request.object(), "filters")) {
    QUARRY_ASSIGN_OR_RETURN(Filter filter, parse_filter(*given));
    filters.push_back(std::move(filter));
  }
  if (auto status = string_member(request.object(), "status"); !status.empty()) {
    std::string upper(status);
    for (char& c : upper)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    filters.push_back(equals("status", json::value(upper)));
  }
  for (auto [member, op] : {std::pair{"start_time", FilterOp::kGte}, std::pair{"end_time", FilterOp::kLte}})
    if (const json::value* at = request.object().if_contains(member); at && at->is_string()) {
      QUARRY_ASSIGN_OR_RETURN(Filter filter, condition("created_at", op, *at));
      filters.push_back(std::move(filter));
    }
  query.filter = all_of(std::move(filters));
  Records records;
  QUARRY_ASSIGN_OR_RETURN(records.found, deps.catalog->list(query));
  records.pagination = pagination_of(query, page, records.found);
  records.pagination["limit"] = page.limit;
  records.pagination["offset"] = page.offset;
  records.pagination["has_next"] = records.found.has_more;
  return records;
}

Result<Reply> list_executions(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto retriever, find_resource(context, deps, catalog::kind::kRetriever, request.param("retriever_id")));
  QUARRY_ASSIGN_OR_RETURN(auto records, list_records(context, deps, retriever.id, request));
  json::array results;
  for (const auto& record : records.found.items) {
    json::object shown;
    copy_members(shown, record.body,
                 {"execution_id", "status", "created_at", "completed_at", "duration_ms", "credits_used", "total_processed",
                  "total_returned", "cache_hit_rate", "inputs_hash", "query_summary", "trace_id"});
    results.push_back(std::move(shown));
  }
  json::object reply{{"pagination", std::move(records.pagination)}};
  reply["results"] = std::move(results);
  return Reply(std::move(reply));
}

Result<Reply> get_execution(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto record, execution_of_request(context, request, deps));
  json::object shown = record.body;
  if (json::value* statistics = shown.if_contains("stage_statistics"); statistics && statistics->is_object() && wants_stage_map(request))
    statistics->get_object()["stages"] = stage_map(stage_list(statistics->get_object()));
  shown["documents_retained"] = false;
  return Reply(std::move(shown));
}

Result<Reply> get_status(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto record, execution_of_request(context, request, deps));
  json::object shown;
  copy_members(
      shown, record.body,
      {"execution_id", "retriever_id", "status", "created_at", "completed_at", "duration_ms", "stages_completed", "total_stages", "error"});
  return Reply(std::move(shown));
}

// Where the time went: each stage's share of the whole.
Result<Reply> get_profile(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto record, execution_of_request(context, request, deps));
  const json::object* statistics = object_member(record.body, "stage_statistics");
  json::array stages = statistics ? stage_list(*statistics) : json::array{};
  auto duration_of = [](const json::object& o) {
    const json::value* v = o.if_contains("duration_ms");
    return v ? number_value(*v).value_or(0) : 0;
  };
  double total = duration_of(record.body), in_stages = 0;
  std::string slowest;
  double slowest_ms = -1;
  for (auto& stage : stages) {
    json::object& o = stage.as_object();
    double ms = duration_of(o);
    in_stages += ms;
    o["share"] = total > 0 ? ms / total : 0.0;
    if (ms > slowest_ms) slowest_ms = ms, slowest = string_member(o, "name");
  }
  json::object shown{{"stages", std::move(stages)},
                     {"total_time_ms", total},
                     {"stage_time_ms", in_stages},
                     {"overhead_ms", std::max(0.0, total - in_stages)},
                     {"bottleneck_stage", slowest}};
  copy_members(shown, record.body, {"execution_id", "retriever_id", "status", "budget"});
  return Reply(std::move(shown));
}

json::object show_adhoc(const json::object& body) {
  json::object shown;
  copy_members(shown, body,
               {"execution_id", "status", "duration_ms", "credits_used", "total_processed", "total_returned", "cache_hit_rate",
                "query_summary", "stages_completed", "total_stages", "collection_ids", "inputs_hash"});
  shown["execution_mode"] = "adhoc";
  if (const json::value* at = body.if_contains("created_at")) shown["timestamp"] = *at;
  return shown;
}

Result<Reply> list_adhoc(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto records, list_records(context, deps, adhoc_parent(context), request));
  json::array results;
  if (!bool_member(request.object(), "count_only"))
    for (const auto& record : records.found.items) results.push_back(show_adhoc(record.body));
  json::object reply{{"total", records.found.total.value_or(0)}, {"pagination", std::move(records.pagination)}};
  reply["results"] = std::move(results);
  return Reply(std::move(reply));
}

Result<Reply> get_adhoc(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto record, find_execution(context, deps, adhoc_parent(context), request.param("execution_id")));
  json::object shown = show_adhoc(record.body);
  if (const json::value* inputs = record.body.if_contains("inputs")) shown["inputs"] = json::serialize(*inputs);
  return Reply(std::move(shown));
}

void append_bytes(const json::object& object, std::string& out);

// A vector is many of these: one append each.
template <typename Number>
void append_number(json::kind kind, Number number, std::string& out) {
  char bytes[1 + sizeof number] = {static_cast<char>(kind)};
  std::memcpy(bytes + 1, &number, sizeof number);
  out.append(bytes, sizeof bytes);
}

// Different values give different bytes. Cheaper than their text, which for a vector costs more than the search.
void append_bytes(const json::value& value, std::string& out) {
  const json::kind kind = value.kind();
  switch (kind) {
    case json::kind::null: return append_little(out, static_cast<uint8_t>(kind));
    case json::kind::bool_: return append_number(kind, static_cast<uint8_t>(value.get_bool()), out);
    case json::kind::int64: return append_number(kind, value.get_int64(), out);
    case json::kind::uint64: return append_number(kind, value.get_uint64(), out);
    case json::kind::double_: return append_number(kind, value.get_double(), out);
    case json::kind::string: {
      append_number(kind, static_cast<uint64_t>(value.get_string().size()), out);
      out.append(value.get_string());
      return;
    }
    case json::kind::array: {
      append_number(kind, static_cast<uint64_t>(value.get_array().size()), out);
      for (const auto& element : value.get_array()) append_bytes(element, out);
      return;
    }
    case json::kind::object: {
      append_little(out, static_cast<uint8_t>(kind));
      return append_bytes(value.get_object(), out);
    }
  }
}

void append_bytes(const json::object& object, std::string& out) {
  append_little(out, static_cast<uint64_t>(object.size()));
  for (const auto& member : object) {
    append_little(out, static_cast<uint64_t>(member.key().size()));
    out.append(member.key());
    append_bytes(member.value(), out);
  }
}

json::object record_body(const ExecutionSubject& subject, const ExecutionOutcome& outcome, const InputsNote& inputs, TimestampUs ended) {
  json::object body{{"execution_id", outcome.execution_id}, {"status", outcome.status}};
  body["created_at"] = format_timestamp(ended - static_cast<int64_t>(outcome.duration_ms * 1000));
  body["completed_at"] = format_timestamp(ended);
  body["duration_ms"] = outcome.duration_ms;
  body["credits_used"] = 0.0;
  body["total_returned"] = outcome.returned;
  body["collection_ids"] = to_array(subject.collection_ids);
  body["total_stages"] = subject.total_stages;
  json::array stages;
  if (const json::object* statistics = object_member(outcome.reply, "stage_statistics")) {
    stages = stage_list(*statistics);
    json::object kept = *statistics;
    kept["stages"] = stages;
    body["stage_statistics"] = std::move(kept);
  }
  body["stages_completed"] = stages.size();
  body["total_processed"] = most_processed(stages);
  copy_members(body, outcome.reply, {"budget", "warnings", "degraded", "pagination"});
  if (!outcome.error.empty()) body["error"] = outcome.error;
  body["inputs_hash"] = fmt::format("{:016x}", inputs.hash);
  body["query_summary"] = inputs.summary;
  if (inputs.inputs) body["inputs"] = *inputs.inputs;
  return body;
}

}  // namespace

InputsNote note_of(const json::object& inputs) {
  std::string bytes;
  append_bytes(inputs, bytes);
  InputsNote note{hash64(bytes), query_summary(inputs), std::nullopt};
  if (bytes.size() <= kMaxInputsBytes) note.inputs = inputs;
  return note;
}

std::string adhoc_parent(const RequestContext& context) { return fmt::format("adhoc:{}", context.namespace_id); }

void record_execution(const RequestContext& context, const Dependencies& deps, ExecutionSubject subject, InputsNote inputs,
                      ExecutionOutcome outcome) {
  ExecutionLog::Parent parent{context.organization_id, context.namespace_id, subject.parent};
  const bool adhoc = subject.parent == adhoc_parent(context);
  catalog::Resource record = make_resource(context, catalog::kind::kExecution, outcome.execution_id, "", {});
  record.parent_id = subject.parent;
  auto make = [record = std::move(record), trace_id = context.request_id, adhoc, subject = std::move(subject), inputs = std::move(inputs),
               outcome = std::move(outcome)] {
    catalog::Resource made = record;
    made.body = record_body(subject, outcome, inputs, record.created_at);
    made.body["retriever_id"] = adhoc ? std::string() : subject.parent;
    made.body["trace_id"] = trace_id;
    return made;
  };
  deps.internals->executions.add(std::move(parent), std::move(make));
}

json::array stage_list(const json::object& statistics) {
  const json::value* stages = statistics.if_contains("stages");
  if (!stages) return {};
  if (stages->is_array()) return stages->get_array();
  json::array out;
  if (stages->is_object())
    for (const auto& stage : stages->get_object()) out.push_back(stage.value());
  return out;
}

json::object stage_map(const json::array& stages) {
  json::object out;
  for (const auto& stage : stages) {
    if (!stage.is_object()) continue;
    std::string name(string_member(stage.get_object(), "name", "stage")), key = name;
    for (int n = 2; out.contains(key); ++n) key = fmt::format("{}_{}", name, n);
    out[key] = stage;
  }
  return out;
}

void bind_execution_records(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "list_executions_retrievers", list_executions);
  bind_operation(table, deps, "get_execution_retrievers", get_execution);
  bind_operation(table, deps, "get_execution_status_retrievers", get_status);
  bind_operation(table, deps, "get_execution_profile_retrievers", get_profile);
  bind_operation(table, deps, "list_adhoc_executions_retrievers", list_adhoc);
  bind_operation(table, deps, "get_adhoc_execution_retrievers", get_adhoc);
}

}  // namespace quarry::service
