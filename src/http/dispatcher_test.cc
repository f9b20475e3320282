#include "http/dispatcher.h"

#include <gtest/gtest.h>

#include "api/embedded.h"
#include "base/metrics.h"
#include "http/fake_api.h"

namespace quarry::http {
namespace {

service::Handler echo() {
  return [](const RequestContext& context, const service::Request& request) -> Result<service::Reply> {
    json::object path;
    for (auto& [name, value] : request.path) path[name] = value;
    return service::Reply(json::object{
        {"path", path}, {"query", request.query}, {"body", request.body}, {"raw", request.raw_body}, {"namespace", context.namespace_id}});
  };
}

class DispatcherTest : public testing::Test {
 protected:
  DispatcherTest() : contract_(*ContractDocument::parse(api::openapi_json())) {
    for (const char* id : {"create_bucket", "list_buckets_get", "list_buckets", "get_bucket", "delete_bucket", "put_presigned",
                           "cancel_batch_buckets_batches", "retry_tier_buckets_batches_batch_id_num", "batch_delete", "patch_document_ns",
                           "create_namespace"})
      api_.bind(id, echo());
    dispatcher_.emplace(options_, api_, contract_);
  }

  Exchange& send(Method method, std::string_view target, std::string_view body = {},
                 std::vector<std::pair<std::string, std::string>> headers = {}) {
    exchange_.clear();
    exchange_.head.method = method;
    exchange_.head.set_target(target);
    bool has_key = false;
    for (auto& [name, value] : headers) {
      exchange_.head.add_header(name, value);
      has_key |= name == "Authorization";
    }
    if (!has_key) exchange_.head.add_header("Authorization", "Bearer good-key");
    exchange_.body = body;
    set_request_id(exchange_);
    dispatcher_->route(exchange_);
    if (!exchange_.answered) dispatcher_->handle(exchange_);
    EXPECT_TRUE(exchange_.answered);
    return exchange_;
  }
  json::value reply() const { return json::parse(exchange_.response.payload()); }
  std::string error_type() const { return std::string(reply().at("error").at("type").as_string()); }
  int status() const { return exchange_.response.status; }

  Options options_;
  FakeApi api_;
  std::shared_ptr<const ContractDocument> contract_;
  std::optional<Dispatcher> dispatcher_;
  Exchange exchange_;
};

TEST_F(DispatcherTest, DecodesPathQueryAndBody) {
  send(Method::kGet, "/v1/buckets/my%20bucket?", {}, {{"X-Namespace", "ns_known"}});
  EXPECT_EQ(status(), 200) << exchange_.response.body;
  EXPECT_EQ(reply().at("path").at("bucket_identifier"), "my bucket");
  EXPECT_EQ(reply().at("namespace"), "ns_known");
  EXPECT_TRUE(reply().at("body").is_null());
  send(Method::kGet, "/v1/buckets?limit=5&search=a+b&include_total=true");
  EXPECT_EQ(json::serialize(reply().at("query")), R"({"limit":5,"search":"a b","include_total":true})");
  send(Method::kGet, "http://example.org/v1/buckets?limit=5#x");
  EXPECT_EQ(reply().at("query").at("limit"), 5);
}

TEST_F(DispatcherTest, AdmissionComesFirst) {
  send(Method::kGet, "/v1/buckets", {}, {{"Authorization", "Bearer wrong"}});
  EXPECT_EQ(status(), 401);
  EXPECT_NE(exchange_.response.headers.find("WWW-Authenticate: Bearer\r\n"), std::string::npos);
  send(Method::kPost, "/v1/buckets", "not json", {{"Authorization", "Bearer wrong"}});
  EXPECT_EQ(status(), 401) << "validation tells strangers nothing";
  send(Method::kPost, "/v1/collections", "{}", {{"Authorization", "Bearer wrong"}});
  EXPECT_EQ(status(), 401) << "nor does what is built";
  send(Method::kPost, "/v1/buckets", "{}", {{"Authorization", "Bearer read-key"}});
  EXPECT_EQ(status(), 403);
  send(Method::kPost, "/v1/buckets/list", "", {{"Authorization", "Bearer read-key"}});
  EXPECT_EQ(status(), 200);
  send(Method::kGet, "/v1/buckets", {}, {{"X-Namespace", "ns_other"}});
  EXPECT_EQ(status(), 404);
}

TEST_F(DispatcherTest, UnbuiltOperationsSaySo) {
  send(Method::kPost, "/v1/collections", "{}");
  EXPECT_EQ(status(), 501);
  EXPECT_EQ(error_type(), "NotImplementedError");
  EXPECT_EQ(reply().at("error").at("details").at("operation_id"), "create_collection");
}

TEST_F(DispatcherTest, BodiesAbsentEmptyAndNull) {
  for (const char* body : {"", " \n", "{}", "null"}) {
    send(Method::kPost, "/v1/buckets/list", body);
    EXPECT_EQ(status(), 200) << body;
    EXPECT_TRUE(reply().at("body").is_object()) << body;
    send(Method::kPost, "/v1/buckets", body);
    EXPECT_EQ(status(), 422) << body;
    EXPECT_EQ(reply().at("error").at("details").at("validation_errors").at(0).at("type"), "missing");
    send(Method::kPost, "/v1/buckets/b/batches/x/cancel?reason=why", body);
    EXPECT_EQ(status(), 200) << "an operation without a body: " << body;
  }
  send(Method::kPost, "/v1/buckets/b/batches/x/cancel", R"({"reason":"why"})");
  EXPECT_EQ(status(), 422);
  EXPECT_EQ(reply().at("error").at("details").at("validation_errors").at(0).at("location").at(1), "reason");
  send(Method::kPost, "/v1/buckets/b/batches/x/cancel", "[1]");
  EXPECT_EQ(status(), 422);
  send(Method::kDelete, "/v1/collections/c/documents/batch", R"({"document_ids":["a"]})");
  EXPECT_EQ(reply().at("body").at("document_ids").at(0), "a");
}

TEST_F(DispatcherTest, PatchKeepsNullsOfFreeFields) {
  send(Method::kPatch, "/v1/documents/d", R"({"a":null,"b":{"c":null}})");
  EXPECT_EQ(json::serialize(reply().at("body")), R"({"a":null,"b":{"c":null}})");
}

TEST_F(DispatcherTest, ContentTypes) {
  const char* body = R"({"bucket_name":"b","bucket_schema":{"properties":{}}})";
  for (const char* type :
       {"application/json", "application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json", "text/json", ""}) {
    send(Method::kPost, "/v1/buckets", body, {{"Content-Type", type}});
    EXPECT_EQ(status(), 200) << type;
  }
  for (const char* type : {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp"}) {
    send(Method::kPost, "/v1/buckets", body, {{"Content-Type", type}});
    EXPECT_EQ(status(), 400) << type;
    EXPECT_EQ(error_type(), "BadRequestError");
  }
  send(Method::kPut, "/v1/presigned?key=k&expires=1&signature=s", std::string("\0\xff raw", 6),
       {{"Content-Type", "image/png"}, {"Authorization", ""}});
  EXPECT_EQ(status(), 200) << exchange_.response.body;
  EXPECT_EQ(contract_->operations()[exchange_.operation->index].body, BodyKind::kRaw);
}

TEST_F(DispatcherTest, PathParametersAreTyped) {
  send(Method::kPost, "/v1/buckets/b/batches/x/tiers/one/retry");
  EXPECT_EQ(status(), 422);
  EXPECT_EQ(json::serialize(reply().at("error").at("details").at("validation_errors").at(0).at("location")), R"(["path","tier_num"])");
  send(Method::kPost, "/v1/buckets/b/batches/x/tiers/1/retry");
  EXPECT_EQ(status(), 200);
}

TEST_F(DispatcherTest, DeepNestingIsAnAnswer) {
  send(Method::kPost, "/v1/buckets", std::string(10'000, '['));
  EXPECT_EQ(status(), 422);
  EXPECT_EQ(error_type(), "ValidationError");
}

TEST_F(DispatcherTest, AHandlerThatThrows) {
  api_.bind("get_bucket",
            [](const RequestContext&, const service::Request&) -> Result<service::Reply> { throw std::runtime_error("secret detail"); });
  send(Method::kGet, "/v1/buckets/b");
  EXPECT_EQ(status(), 500);
  EXPECT_EQ(exchange_.response.body.find("secret"), std::string::npos);
  EXPECT_EQ(reply().at("error").at("details").at("request_id").as_string(), exchange_.request_id);
  api_.bind("get_bucket", [](const RequestContext&, const service::Request&) -> Result<service::Reply> { throw std::bad_alloc(); });
  send(Method::kGet, "/v1/buckets/b");
  EXPECT_EQ(status(), 503);
}

TEST_F(DispatcherTest, RepliesInEveryForm) {
  api_.bind("get_bucket", [](const RequestContext&, const service::Request&) -> Result<service::Reply> {
    service::Reply reply(201, json::object{{"a", 1.0}});
    reply.headers = {{"ETag", "\"x\""}, {"X-Evil", "a\r\nSet-Cookie: b"}};
    return reply;
  });
  send(Method::kGet, "/v1/buckets/b");
  EXPECT_EQ(status(), 201);
  EXPECT_EQ(exchange_.response.body, R"({"a":1.0})");
  EXPECT_EQ(exchange_.response.headers, "ETag: \"x\"\r\nX-Evil: a  Set-Cookie: b\r\n");
  api_.bind("get_bucket", [](const RequestContext&, const service::Request&) -> Result<service::Reply> {
    service::Reply reply;
    reply.raw = "a,b\n";
    reply.content_type = "text/csv";
    return reply;
  });
  send(Method::kGet, "/v1/buckets/b");
  EXPECT_EQ(exchange_.response.content_type, "text/csv");
  EXPECT_EQ(exchange_.response.headers, "");
  EXPECT_EQ(exchange_.response.body, "a,b\n");
  api_.bind("get_bucket", [](const RequestContext&, const service::Request&) -> Result<service::Reply> {
    service::Reply reply;
    reply.raw = "<script>";
    reply.content_type = "text/html";
    return reply;
  });
  send(Method::kGet, "/v1/buckets/b");
  EXPECT_EQ(exchange_.response.headers, "Content-Security-Policy: sandbox; default-src 'none'\r\n") << "what users stored must not run";
  api_.bind("get_bucket",
            [](const RequestContext&, const service::Request&) -> Result<service::Reply> { return service::Reply(204, nullptr); });
  send(Method::kGet, "/v1/buckets/b");
  EXPECT_EQ(exchange_.response.body, "");
  api_.bind("get_bucket", [](const RequestContext&, const service::Request&) -> Result<service::Reply> {
    return Error{ErrorKind::kTooManyRequests, "slow down", {{"retry_after_seconds", 7}}};
  });
  send(Method::kGet, "/v1/buckets/b");
  EXPECT_EQ(status(), 429);
  EXPECT_NE(exchange_.response.headers.find("Retry-After: 7\r\n"), std::string::npos);
}

TEST_F(DispatcherTest, BuiltInPages) {
  send(Method::kGet, "/openapi.json", {}, {{"Authorization", ""}});
  EXPECT_EQ(exchange_.response.payload(), api::openapi_json());
  std::string tag = exchange_.response.headers.substr(6, exchange_.response.headers.find('\r') - 6);
  send(Method::kGet, "/openapi.json", {}, {{"If-None-Match", tag}});
  EXPECT_EQ(status(), 304);
  send(Method::kGet, "/docs", {}, {{"Authorization", ""}});
  EXPECT_EQ(status(), 200);
  EXPECT_EQ(exchange_.response.content_type, "text/html; charset=utf-8");
  EXPECT_EQ(api::docs_html().find("https://"), std::string_view::npos) << "the page loads nothing from elsewhere";
  send(Method::kGet, "/");
  EXPECT_EQ(status(), 307);
  metrics::counter("quarry_dispatcher_test_total", "A counter.").Increment();
  send(Method::kGet, "/metrics", {}, {{"Authorization", ""}});
  EXPECT_NE(exchange_.response.body.find("quarry_dispatcher_test_total 1"), std::string::npos);
  send(Method::kPost, "/docs");
  EXPECT_EQ(status(), 405);
  send(Method::kOptions, "/v1/buckets");
  EXPECT_EQ(status(), 204);
  EXPECT_EQ(exchange_.response.headers, "Allow: GET, POST, HEAD, OPTIONS\r\n");
  send(Method::kOptions, "*");
  EXPECT_EQ(status(), 204);
  send(Method::kGet, "/v2/buckets");
  EXPECT_EQ(error_type(), "NotFoundError");
}

TEST_F(DispatcherTest, RequestIds) {
  send(Method::kGet, "/v1/buckets", {}, {{"X-Request-Id", "trace-1:a/b.c_d"}});
  EXPECT_EQ(exchange_.request_id, "trace-1:a/b.c_d");
  std::string before;
  for (const std::string& bad : {std::string("a b"), std::string("x\r\ny"), std::string(129, 'a'), std::string()}) {
    send(Method::kGet, "/v1/buckets", {}, {{"X-Request-Id", bad}});
    EXPECT_TRUE(exchange_.request_id.starts_with("req_"));
    EXPECT_EQ(exchange_.request_id.size(), 24u);
    EXPECT_NE(exchange_.request_id, before);
    before = exchange_.request_id;
  }
}

}  // namespace
}  // namespace quarry::http
