// A whole service over a temporary catalog, a memory object store, the real vector store and a small deterministic model, for tests.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/hash.h"
#include "base/rng.h"
#include "catalog/sqlite_catalog.h"
#include "model/ids.h"
#include "service/json_access.h"
#include "service/keys.h"
#include "service/service.h"

namespace quarry::service {

// A bag of words hashed into 16 dimensions: texts that share words lie near each other.
class BagEmbedder final : public extract::TextEmbedder {
 public:
  const std::string& output_name() const override { return name_; }
  uint32_t dimension() const override { return 16; }
  uint32_t max_tokens() const override { return 256; }
  Result<extract::Embedding> embed(std::string_view text) const override {
    extract::Embedding out;
    out.values.assign(16, 0.01f);
    std::string word;
    auto take = [&] {
      if (!word.empty()) out.values[hash64(word) % 16] += 1;
      word.clear();
    };
    for (char c : text) c == ' ' ? take() : word.push_back(c);
    take();
    double squares = 0;
    for (float v : out.values) squares += static_cast<double>(v) * v;
    for (float& v : out.values) v = static_cast<float>(v / std::sqrt(squares));
    return out;
  }

 private:
  const std::string name_{extract::kDefaultTextOutput};
};

class BagModels final : public extract::ModelRegistry {
 public:
  Result<std::shared_ptr<const extract::TextEmbedder>> text_embedder(std::string_view) override {
    return std::shared_ptr<const extract::TextEmbedder>(embedder_);
  }
  std::vector<extract::ModelInfo> list() const override { return {{"bag", embedder_->output_name(), "fp32", "ready", 16}}; }

 private:
  std::shared_ptr<BagEmbedder> embedder_ = std::make_shared<BagEmbedder>();
};

// Who calls: a key and a namespace.
struct Client {
  std::string key, organization_id, ns;
};

struct Call {
  std::map<std::string, std::string, std::less<>> path;
  json::value body;
  json::object query;
  std::map<std::string, std::string, std::less<>> headers;
};

class ServiceWorld : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() / ("quarry-service-" + secure_token(12));
    std::filesystem::create_directories(dir_);
    catalog_ = catalog::open_sqlite_catalog(dir_ / "catalog.db", clock_, {.exclusive = true}).value();
    store_ = objects::make_memory_store();
    vectors_ = mvs::VectorStore::open({.store = store_.get(), .executor = &executor_}).value();
    open_api();
    first_.key = api_->bootstrap("").value().value();
    first_.organization_id = context_of(first_, Admission::Scope::kOrganization).value().organization_id;
  }

  void TearDown() override {
    api_.reset();
    executor_.stop();
    vectors_.reset();
    catalog_.reset();
    std::filesystem::remove_all(dir_);
  }

  void open_api() {
    Dependencies deps;
    deps.catalog = catalog_.get();
    deps.store = store_.get();
    deps.vectors = vectors_.get();
    deps.models = &models_;
    deps.executor = &executor_;
    deps.clock = &clock_;
    deps.public_url = [] { return std::string("http://127.0.0.1:8765"); };
    deps.signing_secret = "0123456789abcdef0123456789abcdef";
    deps.version = "test";
    api_ = Api::make(deps);
  }

  Result<RequestContext> context_of(const Client& client, Admission::Scope scope = Admission::Scope::kNamespace,
                                    Permission permission = kRead) {
    return api_->admit({scope, permission}, "Bearer " + client.key, client.ns);
  }

  // As the HTTP layer would: admitted in the client's namespace, or in the organization where there is none.
  Result<Reply> call(const Client& client, const std::string& operation, Call call = {}) {
    auto context = context_of(client, client.ns.empty() ? Admission::Scope::kOrganization : Admission::Scope::kNamespace);
    if (!context.ok()) return std::move(context).error();
    Request request;
    request.path = std::move(call.path);
    request.body = std::move(call.body);
    request.query = std::move(call.query);
    request.headers = std::move(call.headers);
    const Handler* handler = api_->find(operation);
    if (!handler) return Error{ErrorKind::kNotImplemented, "not bound: " + operation};
    context->request_id = "req_test";
    return (*handler)(*context, request);
  }

  // The reply's object; fails the test if there is none.
  json::object ok(const Client& client, const std::string& operation, Call c = {}) {
    auto reply = call(client, operation, std::move(c));
    if (!reply.ok()) {
      ADD_FAILURE() << operation << ": " << reply.error().message << " " << json::serialize(reply.error().details);
      return {};
    }
    return reply->body.is_object() ? reply->body.get_object() : json::object{{"list", reply->body}};
  }

  ErrorKind error_of(const Client& client, const std::string& operation, Call c = {}) {
    auto reply = call(client, operation, std::move(c));
    if (!reply.ok()) return reply.error().kind;
    ADD_FAILURE() << operation << " succeeded: " << json::serialize(reply->body);
    return ErrorKind::kInternal;
  }

  Client with_namespace(const Client& client, const std::string& name) {
    Client out = client;
    Client outside = client;
    outside.ns.clear();
    out.ns = std::string(string_member(ok(outside, "create_namespace", {.body = {{"namespace_name", name}}}), "namespace_id"));
    return out;
  }

  // Another organization with its own administrator, as a second tenant's sign-up would make it.
  Client second_organization() {
    Client out;
    TimestampUs now = clock_.now_us();
    catalog::Resource organization;
    organization.kind = catalog::kind::kOrganization;
    organization.id = new_id("org");
    organization.created_at = organization.updated_at = now;
    organization.body = {{"organization_id", organization.id}, {"internal_id", new_internal_id()}, {"organization_name", "second"}};
    catalog::Resource user;
    user.kind = catalog::kind::kUser;
    user.id = new_id("usr");
    user.organization_id = organization.id;
    user.name = "second@example.org";
    user.created_at = user.updated_at = now;
    user.body = {{"email", user.name}, {"role", "admin"}, {"status", "active"}};
    out.key = new_key_text();
    out.organization_id = organization.id;
    Status written = catalog_->write([&](catalog::Session& session) -> Status {
      QUARRY_RETURN_IF_ERROR(session.insert(organization));
      QUARRY_RETURN_IF_ERROR(session.insert(user));
      auto key = store_key(session, {organization.id, user.id, user.name}, out.key,
                           {{"name", "first"}, {"permissions", permission_names(kAdmin)}}, now);
      QUARRY_RETURN_IF_ERROR(key);
      return Ok{};
    });
    EXPECT_TRUE(written.ok());
    return out;
  }

  // A bucket's row as the bucket handlers write it.
  std::string insert_bucket(const Client& client, const std::string& name, json::object schema) {
    auto context = context_of(client).value();
    catalog::Resource bucket;
    bucket.kind = catalog::kind::kBucket;
    bucket.id = new_id("bkt");
    bucket.organization_id = context.organization_id;
    bucket.namespace_id = context.namespace_id;
    bucket.name = name;
    bucket.created_at = bucket.updated_at = clock_.now_us();
    bucket.body = {{"bucket_id", bucket.id}, {"bucket_name", name}, {"bucket_schema", {{"properties", std::move(schema)}}}};
    EXPECT_TRUE(catalog_->insert(bucket).ok());
    return bucket.id;
  }

  // A collection whose documents are written directly, with one vector "v" of three dimensions.
  static json::object direct_collection_body(const std::string& name) {
    json::object vector{{"field", "v"}, {"name", "v"}, {"dimensions", 3}};
    json::object extractor{
        {"feature_extractor_name", "passthrough_extractor"}, {"version", "v1"}, {"parameters", {{"vector_fields", json::array{vector}}}}};
    return {{"collection_name", name}, {"source", {{"type", "none"}}}, {"feature_extractor", std::move(extractor)}};
  }
  std::string direct_collection(const Client& client, const std::string& name) {
    return std::string(string_member(ok(client, "create_collection", {.body = direct_collection_body(name)}), "collection_id"));
  }

  json::object add_document(const Client& client, const std::string& collection, json::object body) {
    return ok(client, "create_document", {.path = {{"collection_identifier", collection}}, .body = std::move(body)});
  }

  std::filesystem::path dir_;
  ManualClock clock_;
  Executor executor_{"test", 2, 256};
  BagModels models_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<objects::ObjectStore> store_;
  std::unique_ptr<mvs::VectorStore> vectors_;
  std::unique_ptr<Api> api_;
  Client first_;
};

}  // namespace quarry::service
