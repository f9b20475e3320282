// Running retrievers: one execution, a batch of them, ad hoc ones, and the plan without running it.
#include "service/retriever_execution.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "base/hash.h"
#include "model/ids.h"
#include "service/binding.h"
#include "service/collections.h"
#include "service/execution_records.h"
#include "service/execution_window.h"
#include "service/internals.h"
#include "service/json_access.h"
#include "service/resources.h"
#include "service/retrieval_environment.h"
#include "service/retriever_definition.h"

namespace quarry::service {
namespace {

constexpr int64_t kMaxCachedUrlSeconds = 1'800;  // a cached reply's URLs still work when it is served

using Target = OpenRetriever;

// One execution's question.
struct Question {
  retrieval::ExecuteOptions options;
  InputsNote inputs;
  Window window;
  bool as_map = false, skip_cache = false;
};

Result<std::shared_ptr<const retrieval::ParsedRetriever>> with_collections(const RequestContext& context, const Dependencies& deps,
                                                                           std::shared_ptr<const retrieval::ParsedRetriever> parsed) {
  if (!parsed->collection_ids.empty()) return parsed;
  auto settled = std::make_shared<retrieval::ParsedRetriever>(*parsed);
  QUARRY_RETURN_IF_ERROR(settle_collections(context, deps, *settled));
  return std::shared_ptr<const retrieval::ParsedRetriever>(std::move(settled));
}

Result<std::shared_ptr<const Target>> open_retriever(const RequestContext& context, const Request& request, const Dependencies& deps) {
  const std::string& identifier = request.param("retriever_id");
  const std::string key = fmt::format("{}\n{}\n{}", context.organization_id, context.namespace_id, identifier);
  return deps.internals->opened.get(*deps.catalog, key, [&]() -> Result<std::shared_ptr<const Target>> {
    Target target;
    QUARRY_ASSIGN_OR_RETURN(target.resource, find_resource(context, deps, catalog::kind::kRetriever, identifier));
    QUARRY_ASSIGN_OR_RETURN(auto parsed, deps.internals->retrievers.get(target.resource));
    QUARRY_ASSIGN_OR_RETURN(target.parsed, with_collections(context, deps, std::move(parsed)));
    return std::make_shared<const Target>(std::move(target));
  });
}

Result<Target> read_adhoc(const RequestContext& context, const Request& request, const Dependencies& deps) {
  json::object body{{"retriever_name", "adhoc"}};
  copy_members(body, request.object(), {"collection_identifiers", "collection_ids", "input_schema", "stages", "budget_limits"});
  if (json::value* stages = body.if_contains("stages"); stages && stages->is_array()) expand_vector_names(stages->get_array());
  QUARRY_ASSIGN_OR_RETURN(auto parsed, retrieval::parse_retriever(body));
  Target target;
  QUARRY_ASSIGN_OR_RETURN(target.parsed,
                          with_collections(context, deps, std::make_shared<const retrieval::ParsedRetriever>(std::move(parsed))));
  return target;
}

bool flag(const Request& request, std::string_view name) { return bool_member(request.object(), name, bool_member(request.query, name)); }

Status refuse_unbuilt(const json::object& body) {
  if (bool_member(body, "stream")) return Error{ErrorKind::kNotImplemented, "'stream' is not built yet"};
  if (const json::array* expand = array_member(body, "expand"); expand && !expand->empty())
    return Error{ErrorKind::kNotImplemented, "'expand' is not built yet"};
  return Ok{};
}

// A vector among them is not copied.
json::object take_inputs(Request& request) {
  json::object* body = request.body.if_object();
  json::value* inputs = body == nullptr ? nullptr : body->if_contains("inputs");
  return inputs != nullptr && inputs->is_object() ? std::move(inputs->get_object()) : json::object{};
}

// write_token and consistency need nothing here: a write that was acknowledged is visible to every execution that begins later.
Result<Question> read_question(Request& request, const Dependencies& deps, std::string_view subject) {
  const json::object& body = request.object();
  QUARRY_RETURN_IF_ERROR(refuse_unbuilt(body));
  Question question;
  question.options.inputs = take_inputs(request);
  question.inputs = note_of(question.options.inputs);
  if (const json::value* filters = body.if_contains("filters")) question.options.filters = *filters;
  question.options.return_vectors = flag(request, "return_vectors");
  question.options.return_presigned_urls = flag(request, "return_presigned_urls");
  question.options.explain = flag(request, "explain");
  question.options.exact = flag(request, "exact");
  question.options.target_collection_id = string_member(body, "target_collection_id");
  QUARRY_ASSIGN_OR_RETURN(question.window, read_window(request, deps, subject));
  apply_window(question.window, question.options);
  // Pages of a retriever that draws at random come from one draw.
  if (question.window.limit > 0) question.options.random_seed = question.inputs.hash >> 11;
  question.as_map = wants_stage_map(request);
  question.skip_cache = flag(request, "skip_cache");
  return question;
}

ExecutionSubject subject_of(const RequestContext& context, const Target& target) {
  return {target.id().empty() ? adhoc_parent(context) : target.id(), target.parsed->collection_ids, target.parsed->stages.size()};
}

// Runs it, records it, and returns the reply's body.
Result<json::object> run(const RequestContext& context, const Dependencies& deps, const Target& target, Question question) {
  int64_t began_us = deps.clock->steady_us();
  auto result = retrieval::execute(context, retrieval_environment(deps), *target.parsed, std::move(question.options));
  ExecutionOutcome outcome;
  if (!result.ok()) {
    outcome.execution_id = new_id("exec");
    outcome.status = "FAILED";
    outcome.error = result.error().message;
    outcome.duration_ms = static_cast<double>(deps.clock->steady_us() - began_us) / 1000;
    record_execution(context, deps, subject_of(context, target), std::move(question.inputs), std::move(outcome));
    return std::move(result).error();
  }
  json::object pagination = show_window(question.window, *result, deps, target.id());
  outcome.execution_id = result->execution_id;
  outcome.status = result->status;
  outcome.duration_ms = result->total_time_ms;
  outcome.returned = result->results.size();
  json::object reply = retrieval::to_json(std::move(*result), target.id(), question.as_map);
  reply["pagination"] = std::move(pagination);
  for (std::string_view kept : {"stage_statistics", "budget", "warnings", "degraded", "pagination"})
    if (const json::value* value = reply.if_contains(kept)) outcome.reply[kept] = *value;
  record_execution(context, deps, subject_of(context, target), std::move(question.inputs), std::move(outcome));
  return reply;
}

// ---- caching ----------------------------------------------------------------------------------------------------------

// All that a reply depends on.
Result<std::string> cache_key(const RequestContext& context, const Dependencies& deps, const Target& target, const Question& question) {
  std::string state = fmt::format("{}\n{}\n{}\n", context.namespace_id, target.id(), target.resource.revision);
  const auto& options = question.options;
  state += json::serialize(options.inputs) + "\n" + json::serialize(options.filters) + "\n";
  const Window& window = question.window;
  state += fmt::format("{} {} {} {} {}\n", window.method, window.offset, window.limit, window.after_document, options.target_collection_id);
  state +=
      fmt::format("{}{}{}{}{}\n", options.return_vectors, options.return_presigned_urls, options.explain, options.exact, question.as_map);
  for (const auto& identifier : target.parsed->collection_ids) {
    QUARRY_ASSIGN_OR_RETURN(auto opened, open_collection(context, deps, identifier));
    mvs::TableStats stats;  // of an archived one: nothing
    if (opened.collection.lifecycle != LifecycleState::kArchived) {
      QUARRY_ASSIGN_OR_RETURN(stats, deps.vectors->stats(opened.collection.table_id()));
      note_query(deps, opened.collection);  // an answer from the cache is one, too
    }
    state += fmt::format("{} {} {} {}\n", opened.resource.id, opened.resource.revision, stats.data_version,
                         index_signature(opened, stats.documents));
  }
  return sha256_hex(state);
}

std::string_view header(const Request& request, std::string_view name) {
  auto it = request.headers.find(name);
  return it == request.headers.end() ? std::string_view() : std::string_view(it->second);
}

bool etag_matches(std::string_view if_none_match, std::string_view etag) {
  return !if_none_match.empty() && (if_none_match == "*" || if_none_match.find(etag) != std::string_view::npos);
}

// A weak tag: the documents are the same, timings and execution_id may differ.
std::string etag_of(const std::string& key) { return fmt::format("\"{}\"", key.substr(0, 32)); }

Result<Reply> run_uncached(const RequestContext& context, const Dependencies& deps, const Target& target, Question question) {
  QUARRY_ASSIGN_OR_RETURN(json::object body, run(context, deps, target, std::move(question)));
  body["cache_hit"] = false;
  Reply reply = with_documents(std::move(body));
  reply.headers.emplace_back("X-Cache", "MISS");
  return reply;
}

Result<Reply> run_cached(const RequestContext& context, const Request& request, const Dependencies& deps, const Target& target,
                         Question question, const CacheConfig& config) {
  auto keyed = cache_key(context, deps, target, question);
  // A collection cannot be read: the execution says which.
  if (!keyed.ok()) return run_uncached(context, deps, target, std::move(question));
  const std::string key = std::move(keyed).value();
  int64_t ttl = question.options.return_presigned_urls ? std::min(config.ttl_seconds, kMaxCachedUrlSeconds) : config.ttl_seconds;
  std::string etag = etag_of(key);
  Reply reply = with_documents({});
  reply.headers = {{"ETag", "W/" + etag}, {"Cache-Control", fmt::format("private, max-age={}", ttl)}};
  if (etag_matches(header(request, "if-none-match"), etag)) {
    reply.status = 304;
    return reply;
  }
  TimestampUs now = deps.clock->now_us();
  if (auto cached = question.skip_cache ? nullptr : deps.internals->results.get(key, now)) {
    json::object body = cached->reply;
    body["cache_hit"] = true;
    body["cached_at"] = static_cast<double>(cached->made_at) / 1e6;
    reply.body = std::move(body);
    reply.headers.emplace_back("X-Cache", "HIT");
    return reply;
  }
  QUARRY_ASSIGN_OR_RETURN(json::object body, run(context, deps, target, std::move(question)));
  if (string_member(body, "status") == "COMPLETED") deps.internals->results.put(key, body, ttl * 1'000'000, now);
  body["cache_hit"] = false;
  reply.body = std::move(body);
  reply.headers.emplace_back("X-Cache", "MISS");
  return reply;
}

// ---- handlers ---------------------------------------------------------------------------------------------------------

Result<Reply> execute_retriever(const RequestContext& context, Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto target, open_retriever(context, request, deps));
  QUARRY_ASSIGN_OR_RETURN(auto question, read_question(request, deps, target->id()));
  CacheConfig config = cache_config_of(target->resource.body);
  return config.enabled ? run_cached(context, request, deps, *target, std::move(question), config)
                        : run_uncached(context, deps, *target, std::move(question));
}

Result<Reply> execute_adhoc(const RequestContext& context, Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto target, read_adhoc(context, request, deps));
  QUARRY_ASSIGN_OR_RETURN(auto question, read_question(request, deps, ""));
  QUARRY_ASSIGN_OR_RETURN(json::object body, run(context, deps, target, std::move(question)));
  body["execution_mode"] = "adhoc";
  return with_documents(std::move(body));
}

Result<Reply> explain_retriever(const RequestContext& context, Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto target, open_retriever(context, request, deps));
  retrieval::ExecuteOptions options;
  options.inputs = take_inputs(request);
  QUARRY_ASSIGN_OR_RETURN(json::object plan, retrieval::explain(context, retrieval_environment(deps), *target->parsed, options));
  plan["retriever_id"] = target->id();
  plan["retriever_name"] = target->resource.name;
  return Reply(std::move(plan));
}

// The question of one query of a batch: the batch's settings under the query's own inputs and filters.
Request query_request(const Request& batch, const json::object& query) {
  Request one;
  one.query = batch.query;
  one.headers = batch.headers;
  json::object body;
  copy_members(body, batch.object(), {"settings", "return_presigned_urls", "return_vectors"});
  copy_members(body, query, {"inputs", "filters"});
  one.body = std::move(body);
  return one;
}

json::object run_query(const RequestContext& context, const Request& batch, const Dependencies& deps, const Target& target,
                       const json::object& query) {
  Request one = query_request(batch, query);
  auto question = read_question(one, deps, target.id());
  auto reply = question.ok() ? run(context, deps, target, std::move(*question)) : Result<json::object>(std::move(question).error());
  if (reply.ok()) {
    json::value documents = reply->at("results");
    (*reply)["documents"] = std::move(documents);
    return std::move(*reply);
  }
  json::object error{{"type", to_string(reply.error().kind)}, {"message", reply.error().message}};
  if (!reply.error().details.empty()) error["details"] = reply.error().details;
  return {{"status", "FAILED"}, {"results", json::array{}}, {"error", std::move(error)}};
}

// Every query is answered, in order; one that fails does not fail the others.
Result<Reply> execute_batch(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(refuse_unbuilt(request.object()));
  QUARRY_ASSIGN_OR_RETURN(auto target, open_retriever(context, request, deps));
  const json::array* queries = array_member(request.object(), "queries");
  size_t count = queries ? queries->size() : 0;
  auto wanted = static_cast<size_t>(std::max<int64_t>(1, integer_member(request.object(), "concurrency").value_or(5)));
  int64_t began_us = deps.clock->steady_us();
  std::vector<json::object> replies(count);
  std::atomic<size_t> next{0};
  parallel_for(deps.executor, std::min(wanted, count), [&](size_t) {
    for (size_t i; (i = next.fetch_add(1)) < count;) {
      const json::object* query = (*queries)[i].if_object();
      replies[i] = run_query(context, request, deps, *target, query ? *query : json::object{});
    }
  });
  json::array results;
  size_t failed = 0;
  for (size_t i = 0; i < count; ++i) {
    failed += string_member(replies[i], "status") == "FAILED";
    replies[i]["query_index"] = i;
    results.push_back(std::move(replies[i]));
  }
  double elapsed_ms = static_cast<double>(deps.clock->steady_us() - began_us) / 1000;
  return Reply(json::object{{"retriever_id", target->id()},
                            {"results", std::move(results)},
                            {"total", count},
                            {"succeeded", count - failed},
                            {"failed", failed},
                            {"total_time_ms", elapsed_ms}});
}

}  // namespace

void bind_retriever_execution(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "execute_retriever", execute_retriever);
  bind_operation(table, deps, "execute_adhoc_retriever", execute_adhoc);
  bind_operation(table, deps, "explain_retriever_execution_id_execute", explain_retriever);
  bind_operation(table, deps, "execute_batch_retrievers", execute_batch);
}

}  // namespace quarry::service
