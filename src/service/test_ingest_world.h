// The service with an engine behind it: what buckets, objects, uploads, batches and tasks need.
#pragma once

#include <thread>

#include "service/test_service_world.h"

namespace quarry::service {

class IngestWorld : public ServiceWorld {
 protected:
  void SetUp() override {
    ServiceWorld::SetUp();
    make_engine();
    reopen_api();
    client_ = with_namespace(first_, "ingest");
  }
  void make_engine() {
    pipeline::Options options;
    options.catalog = catalog_.get();
    options.vectors = vectors_.get();
    options.store = store_.get();
    options.extract.models = &models_;
    options.worker_id = "test";
    options.poll_interval_us = 20'000;
    options.commit_interval_us = 20'000;
    options.retry_delay_us = 1'000;
    options.exclusive = true;
    adjust(options);
    engine_ = pipeline::Engine::make(options);
  }
  virtual void adjust(pipeline::Options&) {}
  void TearDown() override {
    engine_.reset();
    ServiceWorld::TearDown();
  }

  void reopen_api() {
    deps_.catalog = catalog_.get();
    deps_.store = store_.get();
    deps_.vectors = vectors_.get();
    deps_.models = &models_;
    deps_.executor = &executor_;
    deps_.engine = engine_.get();
    deps_.clock = &clock_;
    deps_.public_url = [] { return std::string("http://127.0.0.1:8765"); };
    deps_.signing_secret = "0123456789abcdef0123456789abcdef";
    deps_.limits.max_inline_blob_bytes = 1 << 20;
    deps_.limits.max_upload_bytes = 1 << 20;
    deps_.version = "test";
    api_ = Api::make(deps_);
  }

  // May read and write what client_ may.
  Client client_without_delete() {
    Client writer = client_;
    const auto context = context_of(first_, Admission::Scope::kOrganization).value();
    writer.key = new_key_text();
    Status made = catalog_->write([&](catalog::Session& session) -> Status {
      catalog::ListQuery users{.kind = std::string(catalog::kind::kUser), .scope = {context.organization_id, ""}, .limit = 1};
      QUARRY_ASSIGN_OR_RETURN(auto page, session.list(users));
      QUARRY_RETURN_IF_ERROR(store_key(session, {context.organization_id, page.items.at(0).id, page.items.at(0).name}, writer.key,
                                       {{"name", "writer"}, {"permissions", permission_names(kRead | kWrite)}}, clock_.now_us()));
      return Ok{};
    });
    EXPECT_TRUE(made.ok()) << made.error().message;
    return writer;
  }

  std::string make_bucket(const std::string& name, json::object schema, json::object rest = {}) {
    json::object body = std::move(rest);
    body["bucket_name"] = name;
    body["bucket_schema"] = json::object{{"properties", std::move(schema)}};
    return std::string(string_member(ok(client_, "create_bucket", {.body = std::move(body)}), "bucket_id"));
  }
  std::string text_bucket() { return make_bucket("texts", {{"content", {{"type", "text"}}}, {"author", {{"type", "string"}}}}); }

  std::string text_collection(const std::string& name, json::object source) {
    json::object extractor{{"feature_extractor_name", "text_extractor"},
                           {"version", "v1"},
                           {"input_mappings", {{"text", "content"}}},
                           {"field_passthrough", json::array{json::object{{"source_path", "author"}}}}};
    json::object made = ok(client_, "create_collection",
                           {.body = {{"collection_name", name}, {"source", std::move(source)}, {"feature_extractor", extractor}}});
    return std::string(string_member(made, "collection_id"));
  }
  std::string bucket_collection(const std::string& name, const std::string& bucket) {
    return text_collection(name, {{"type", "bucket"}, {"bucket_ids", json::array{bucket}}});
  }

  static json::object text_blob(std::string_view text) { return {{"property", "content"}, {"type", "text"}, {"data", text}}; }
  json::object object_body(std::string_view text, json::object rest = {}) {
    rest["blobs"] = json::array{text_blob(text)};
    return rest;
  }
  json::object create_object(const std::string& bucket, json::object body, json::object query = {}) {
    return ok(client_, "create_object_buckets",
              {.path = {{"bucket_identifier", bucket}}, .body = std::move(body), .query = std::move(query)});
  }
  std::string object_id_of(const json::object& shown) { return std::string(string_member(shown, "object_id")); }

  Error refused(const std::string& operation, Call c) {
    auto reply = call(client_, operation, std::move(c));
    if (!reply.ok()) return reply.error();
    ADD_FAILURE() << operation << " succeeded: " << json::serialize(reply->body);
    return {};
  }
  Error refused_object(const std::string& bucket, json::object body) {
    return refused("create_object_buckets", {.path = {{"bucket_identifier", bucket}}, .body = std::move(body)});
  }

  // An upload's presigned URL, followed as the HTTP layer would.
  Result<Reply> follow(const std::string& operation, std::string_view url, std::string bytes = {},
                       std::map<std::string, std::string, std::less<>> headers = {}) {
    Request request;
    request.raw_body = std::move(bytes);
    request.headers = std::move(headers);
    std::string_view query = url.substr(url.find('?') + 1);
    while (!query.empty()) {
      std::string_view pair = query.substr(0, query.find('&'));
      query.remove_prefix(std::min(query.size(), pair.size() + 1));
      request.query[pair.substr(0, pair.find('='))] = pair.substr(pair.find('=') + 1);  // keys here need no decoding
    }
    return (*api_->find(operation))(RequestContext{}, request);
  }

  static std::string sent_bytes(const Reply& reply) {
    std::string bytes;
    while (bytes.size() < reply.source.size) bytes += reply.source.read(bytes.size(), 3).value();
    return bytes;
  }

  json::object batch_of(const std::string& bucket, const std::string& id) {
    return ok(client_, "get_batch_buckets_batches", {.path = {{"bucket_identifier", bucket}, {"batch_id", id}}});
  }
  // Polls until the batch has ended; the time only bounds a hang.
  std::string end_of(const std::string& bucket, const std::string& id) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (;;) {
      std::string status(string_member(batch_of(bucket, id), "status"));
      if (is_terminal(parse_task_status(status))) return status;
      if (std::chrono::steady_clock::now() > deadline) return status + " after 30 s";
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  json::object create_batch(const std::string& bucket, json::object body) {
    return ok(client_, "create_batch_buckets_batches", {.path = {{"bucket_identifier", bucket}}, .body = std::move(body)});
  }
  uint64_t documents_in(const std::string& collection) { return vectors_->count(collection, Filter{}).value(); }

  Dependencies deps_;
  std::unique_ptr<pipeline::Engine> engine_;
  Client client_;
};

}  // namespace quarry::service
