#include "http/dispatcher.h"

#include <fmt/format.h>

#include "api/embedded.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/rng.h"
#include "http/envelope.h"
#include "http/json_decoder.h"
#include "http/json_encoder.h"
#include "http/validator.h"

namespace quarry::http {
namespace {

constexpr size_t kMaxRequestId = 128;

bool is_sane_id(std::string_view id) {
  if (id.empty() || id.size() > kMaxRequestId) return false;
  for (char c : id)
    if (!std::isalnum(static_cast<unsigned char>(c)) && std::string_view("-_.:/").find(c) == std::string_view::npos) return false;
  return true;
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == text.npos; }

// "application/json; charset=utf-8", "application/merge-patch+json"; absent counts.
bool is_json_type(std::string_view content_type) {
  if (content_type.empty()) return true;
  std::string type(content_type.substr(0, content_type.find(';')));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  for (char& c : type) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return type == "application/json" || type == "text/json" || type.ends_with("+json");
}

std::string entity_tag(std::string_view bytes) { return fmt::format("\"{:016x}\"", hash64(bytes)); }

void answer(Exchange& exchange, int status, std::string_view content_type, std::string_view fixed) {
  exchange.response.status = status;
  exchange.response.content_type = content_type;
  exchange.response.fixed_body = fixed;
  exchange.answered = true;
}

void answer_file(Exchange& exchange, std::string_view content_type, std::string_view bytes, const std::string& tag) {
  exchange.response.add_header("ETag", tag);
  exchange.response.add_header("Cache-Control", "no-cache");
  bool known = exchange.head.header("if-none-match") == tag;
  answer(exchange, known ? 304 : 200, content_type, known ? std::string_view() : bytes);
}

// What a browser would run if a document of this type were opened from here.
bool is_active_content(std::string_view content_type) {
  for (std::string_view active : {"text/html", "image/svg", "xml"})
    if (content_type.find(active) != content_type.npos) return true;
  return false;
}

void answer_reply(Exchange& exchange, service::Reply reply) {
  Response& response = exchange.response;
  response.status = reply.status;
  for (auto& [name, value] : reply.headers) response.add_header(name, value);
  if (!reply.content_type.empty()) {
    if (is_active_content(reply.content_type)) response.add_header("Content-Security-Policy", "sandbox; default-src 'none'");
    response.content_type = std::move(reply.content_type);
    response.body = std::move(reply.raw);
    response.source = std::move(reply.source);
  } else if (reply.status != 204 && reply.status != 304) {
    const auto& [name, alias] = reply.alias;
    if (name.empty())
      encode_json(reply.body, response.body);
    else
      encode_json_with_alias(reply.body.as_object(), name, alias, response.body);
  }
  exchange.answered = true;
}

Error no_body_expected(const json::value& body) {
  json::array errors;
  if (const json::object* object = body.if_object()) {
    for (const auto& member : *object) {
      if (errors.size() == kMaxReportedErrors) break;
      errors.push_back(json::object{{"type", "extra_forbidden"},
                                    {"location", json::array{"body", member.key()}},
                                    {"message", "unknown field: this operation takes no body"}});
    }
  } else {
    errors.push_back(
        json::object{{"type", "extra_forbidden"}, {"location", json::array{"body"}}, {"message", "this operation takes no body"}});
  }
  return make_validation_error(std::move(errors));
}

Status check_path(const Exchange& exchange, const OperationSchemas& schemas) {
  for (size_t i = 0; i < schemas.path.size(); ++i) {
    if (schemas.path[i].schema == nullptr) continue;
    json::value value = parse_scalar(exchange.path_values[i], *schemas.path[i].schema);
    Status status = validate_value(*schemas.path[i].schema, value, exchange.operation->path_names[i]);
    if (status.ok()) continue;
    Error error = std::move(status).error();
    for (json::value& item : error.details.at("validation_errors").as_array()) {
      json::array& location = item.as_object().at("location").as_array();
      location.insert(location.begin(), json::value("path"));
    }
    return error;
  }
  return Ok{};
}

}  // namespace

void set_request_id(Exchange& exchange) {
  std::string_view given = exchange.head.header("x-request-id");
  if (is_sane_id(given)) {
    exchange.request_id = given;
    return;
  }
  thread_local Rng rng([] {
    uint64_t seed = 0;
    fill_secure_random({reinterpret_cast<uint8_t*>(&seed), sizeof seed});
    return seed;
  }());
  constexpr char digits[] = "0123456789abcdefghijklmnopqrstuv";
  uint64_t a = rng.next(), b = rng.next();
  exchange.request_id = "req_";
  for (int i = 0; i < 10; ++i, a >>= 5, b >>= 5) {
    exchange.request_id.push_back(digits[a & 31]);
    exchange.request_id.push_back(digits[b & 31]);
  }
}

Dispatcher::Dispatcher(const Options& options, service::Api& api, std::shared_ptr<const ContractDocument> contract)
    : options_(options),
      api_(api),
      contract_(std::move(contract)),
      contract_tag_(entity_tag(contract_->document())),
      docs_tag_(entity_tag(api::docs_html())) {}

void Dispatcher::answer_error(Exchange& exchange, const Error& error) {
  const ErrorShape& shape = shape_of(error.kind);
  Response& response = exchange.response;
  response.body = encode_error(error, exchange.request_id);
  response.source = {};
  response.headers.clear();
  if (shape.status == 401) response.add_header("WWW-Authenticate", "Bearer");
  if (const json::value* allow = error.details.if_contains("allow"); shape.status == 405 && allow != nullptr && allow->is_array()) {
    std::string list;
    for (const json::value& name : allow->get_array()) list += (list.empty() ? "" : ", ") + std::string(name.as_string());
    response.add_header("Allow", list);
  }
  if (const json::value* size = error.details.if_contains("size_bytes"); shape.status == 416 && size != nullptr)
    response.add_header("Content-Range", fmt::format("bytes */{}", json::serialize(*size)));
  int retry_after = shape.retry_after_seconds;
  if (const json::value* given = error.details.if_contains("retry_after_seconds"); given != nullptr && given->is_int64())
    retry_after = static_cast<int>(given->get_int64());
  if (retry_after > 0) response.add_header("Retry-After", std::to_string(retry_after));
  answer(exchange, shape.status, "application/json", {});
}

void Dispatcher::route(Exchange& exchange) const {
  std::string_view target = exchange.head.target();
  // RFC 9112: a server must accept the absolute form too.
  if (size_t scheme = target.find("://"); scheme != target.npos && !target.starts_with('/')) {
    size_t slash = target.find('/', scheme + 3);
    target = slash == target.npos ? std::string_view("/") : target.substr(slash);
  }
  target = target.substr(0, target.find('#'));
  size_t question = std::min(target.find('?'), target.size());
  std::string_view path = target.substr(0, question);
  exchange.query = target.substr(std::min(question + 1, target.size()));
  if (exchange.head.method == Method::kOptions) return route_options(exchange, path);
  Result<RouteMatch> match = contract_->router().match(exchange.head.method, path);
  if (match.ok()) {
    exchange.operation = &contract_->operations()[match->route];
    exchange.path_values = std::move(match->path_values);
  } else if (!answer_built_in(exchange, path)) {
    answer_error(exchange, match.error());
  }
}

void Dispatcher::route_options(Exchange& exchange, std::string_view path) const {
  std::vector<std::string_view> allowed = contract_->router().allowed(path);
  if (allowed.empty() && path != "*") return answer_error(exchange, not_found("there is no such path here"));
  exchange.response.add_header(
      "Allow", allowed.empty() ? "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" : fmt::format("{}", fmt::join(allowed, ", ")));
  answer(exchange, 204, {}, {});
}

bool Dispatcher::answer_built_in(Exchange& exchange, std::string_view path) const {
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  bool known = path == "/" || path == "/metrics" || path == "/openapi.json" || path == "/docs";
  if (!known) return false;
  if (exchange.head.method != Method::kGet && exchange.head.method != Method::kHead) {
    answer_error(exchange, {ErrorKind::kMethodNotAllowed, "only GET and HEAD are operations of this path", {{"allow", {"GET", "HEAD"}}}});
    return true;
  }
  if (path == "/openapi.json") {
    answer_file(exchange, "application/json", contract_->document(), contract_tag_);
  } else if (path == "/docs") {
    exchange.response.add_header(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:");
    answer_file(exchange, "text/html; charset=utf-8", api::docs_html(), docs_tag_);
  } else if (path == "/metrics") {
    exchange.response.body = metrics::render();
    answer(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", {});
  } else {
    exchange.response.add_header("Location", "/docs");
    answer(exchange, 307, "text/plain", {});
  }
  return true;
}

uint64_t Dispatcher::body_limit(const Exchange& exchange) const {
  bool raw = exchange.operation != nullptr && exchange.operation->body == BodyKind::kRaw;
  return raw ? options_.max_upload_bytes : options_.max_body_bytes;
}

Status Dispatcher::admit_caller(Exchange& exchange) const {
  const Operation& operation = *exchange.operation;
  RequestContext context;
  if (operation.admission.scope != service::Admission::Scope::kPublic) {
    QUARRY_ASSIGN_OR_RETURN(context,
                            api_.admit(operation.admission, exchange.head.header("authorization"), exchange.head.header("x-namespace")));
  }
  if (api_.find(operation.id) == nullptr) {
    std::string message = fmt::format("{} ({} {}) is not built yet", operation.id, to_string(operation.method), operation.path);
    return Error{ErrorKind::kNotImplemented, std::move(message), {{"operation_id", operation.id}}};
  }
  context.request_id = exchange.request_id;
  context.abandoned = &abandoned_;
  if (const service::Gate* gate = api_.find_gate(operation.id); gate != nullptr) {
    QUARRY_ASSIGN_OR_RETURN(service::Request request, decode_head(exchange));
    QUARRY_RETURN_IF_ERROR((*gate)(context, request));
  }
  exchange.context = std::move(context);
  return Ok{};
}

void Dispatcher::admit(Exchange& exchange) const {
  try {
    Status admitted = admit_caller(exchange);
    if (!admitted.ok()) answer_error(exchange, admitted.error());
  } catch (const std::exception& e) {
    log_error("admission threw", {{"request_id", exchange.request_id}, {"what", e.what()}});
    answer_error(exchange, internal_error("internal error; the log has it under this request's id"));
  }
}

void Dispatcher::handle(Exchange& exchange) const {
  if (!exchange.context) admit(exchange);
  if (exchange.answered) return;
  if (abandoned_) return answer_error(exchange, {ErrorKind::kUnavailable, "the server is stopping; try again shortly"});
  // Counted from here: a large body may have been long on its way.
  exchange.context->deadline_us = exchange.context->clock->steady_us() + options_.request_timeout_ms * 1000;
  try {
    handle_admitted(exchange);
  } catch (const std::bad_alloc&) {
    answer_error(exchange, {ErrorKind::kUnavailable, "not enough memory for this request now"});
  } catch (const std::exception& e) {
    log_error("request failed", {{"request_id", exchange.request_id}, {"operation", exchange.operation->id}, {"what", e.what()}});
    answer_error(exchange, internal_error("internal error; the log has it under this request's id"));
  }
}

void Dispatcher::handle_admitted(Exchange& exchange) const {
  const Operation& operation = *exchange.operation;
  Result<service::Request> request = decode(exchange);
  if (!request.ok()) return answer_error(exchange, request.error());
  Result<service::Reply> reply = (*api_.find(operation.id))(*exchange.context, *request);
  if (reply.ok()) return answer_reply(exchange, std::move(reply).value());
  if (shape_of(reply.error().kind).status == 500)
    log_error("request failed", {{"request_id", exchange.request_id}, {"operation", operation.id}, {"what", reply.error().message}});
  answer_error(exchange, reply.error());
}

Result<service::Request> Dispatcher::decode_head(const Exchange& exchange) const {
  const Operation& operation = *exchange.operation;
  QUARRY_ASSIGN_OR_RETURN(const OperationSchemas* schemas, contract_->schemas(operation));
  service::Request request;
  QUARRY_RETURN_IF_ERROR(check_path(exchange, *schemas));
  for (size_t i = 0; i < operation.path_names.size(); ++i) request.path.emplace(operation.path_names[i], exchange.path_values[i]);
  QUARRY_ASSIGN_OR_RETURN(request.query, parse_query(exchange.query, schemas->query));
  for (size_t i = 0; i < exchange.head.header_count(); ++i) {
    auto [it, inserted] = request.headers.emplace(exchange.head.header_name(i), exchange.head.header_value(i));
    if (!inserted) it->second.append(", ").append(exchange.head.header_value(i));
  }
  return request;
}

Result<service::Request> Dispatcher::decode(Exchange& exchange) const {
  const Operation& operation = *exchange.operation;
  QUARRY_ASSIGN_OR_RETURN(service::Request request, decode_head(exchange));
  QUARRY_ASSIGN_OR_RETURN(const OperationSchemas* schemas, contract_->schemas(operation));
  if (operation.body == BodyKind::kRaw) {
    request.raw_body = std::move(exchange.body);
  } else {
    QUARRY_ASSIGN_OR_RETURN(json::value body, decode_body(exchange, *schemas));
    std::string().swap(exchange.body);  // the text is not needed any more, and may be large
    // Not an assignment: that would copy a value out of its block of memory.
    std::destroy_at(&request.body);
    std::construct_at(&request.body, std::move(body));
  }
  return request;
}

Result<json::value> Dispatcher::decode_body(const Exchange& exchange, const OperationSchemas& schemas) const {
  json::value body;
  bool blank = is_blank(exchange.body);
  if (!blank) {
    if (!is_json_type(exchange.head.header("content-type")))
      return bad_request(fmt::format("this operation takes application/json, not {}", exchange.head.header("content-type")));
    Result<json::value> decoded = decode_json(exchange.body, options_.max_json_depth);
    if (!decoded.ok()) return decoded;
    if (schemas.body != nullptr && !decoded->is_null()) {
      QUARRY_RETURN_IF_ERROR(validate_value(*schemas.body, *decoded, "body"));
      return decoded;
    }
    bool empty = decoded->is_null() || (decoded->is_object() && decoded->get_object().empty());
    if (!empty) return no_body_expected(*decoded);
  }
  // No body is the empty object wherever an object could stand, so that what is required is asked for by name.
  if (schemas.body == nullptr || (exchange.operation->method == Method::kGet && blank)) return body;
  if (schemas.body_takes_object) body.emplace_object();
  QUARRY_RETURN_IF_ERROR(validate_value(*schemas.body, body, "body"));
  return body;
}

}  // namespace quarry::http
