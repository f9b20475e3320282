// The use cases, one file per resource: a handler per operation id of api/openapi.json. Knows nothing of sockets.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/catalog.h"
#include "extract/extract.h"
#include "model/context.h"
#include "mvs/mvs.h"
#include "objects/fetcher.h"
#include "objects/object_store.h"
#include "pipeline/pipeline.h"
#include "retrieval/retrieval.h"

namespace quarry::service {

// What a handler sees: decoded and validated by the HTTP layer against the operation's schema.
struct Request {
  std::map<std::string, std::string, std::less<>> path;     // percent-decoded path parameters
  json::object query;                                       // typed by the parameters' schemas; absent ones are absent
  json::value body;                                         // null when there is none; nulls of optional members are dropped
  std::string raw_body;                                     // bytes of operations that take no JSON
  std::map<std::string, std::string, std::less<>> headers;  // names in lower case

  const std::string& param(std::string_view name) const;  // must be there: the router matched it
  const json::object& object() const;                     // the body as an object; empty if there is none
};

// A reply's bytes, read piece by piece as the client takes them.
struct BodySource {
  uint64_t size = 0;
  // At most `length` bytes, at least one; may block. Runs after the handler returned, until the reply is sent. Null: there is no source.
  std::function<Result<std::string>(uint64_t offset, uint64_t length)> read;
};

struct Reply {
  int status = 200;
  json::value body;
  std::pair<std::string, std::string> alias;  // a member of `body` that is sent a second time under the other name; none if empty
  std::string raw;    // sent instead of `body` when content_type is set
  BodySource source;  // sent instead of `raw`
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> headers;

  Reply() = default;
  Reply(json::value b) : body(std::move(b)) {}  // NOLINT: implicit by design
  Reply(int s, json::value b) : status(s), body(std::move(b)) {}
};

// May take parts of the request for its own: nobody reads it afterwards.
using Handler = std::function<Result<Reply>(const RequestContext&, Request&)>;
// Refuses, before the body is read, what the rest of the request shows to be in vain. The request's body is still empty.
using Gate = std::function<Status(const RequestContext&, const Request&)>;

// What one operation asks of its caller, as api/openapi.json states it under x-quarry.
struct Admission {
  enum class Scope { kPublic, kOrganization, kNamespace } scope = Scope::kNamespace;
  Permission permission = kRead;
};

struct Limits {
  uint64_t max_upload_bytes = 512ull << 20;
  uint64_t max_inline_blob_bytes = 32ull << 20;
};

struct Internals;  // service/internals.h

struct Dependencies {
  catalog::Catalog* catalog = nullptr;
  objects::ObjectStore* store = nullptr;
  mvs::VectorStore* vectors = nullptr;
  extract::ModelRegistry* models = nullptr;
  extract::Decoder* decoder = nullptr;
  objects::Fetcher* fetcher = nullptr;
  pipeline::Engine* engine = nullptr;
  pipeline::ImportPlaces import_places;
  int64_t pre_delete_keep_us = 0;  // deleting a namespace takes a snapshot of it first, kept so long; 0: it does not
  Executor* executor = nullptr;
  Executor* background = nullptr;  // yields to requests; null: `executor` does its work
  const Clock* clock = &system_clock();
  Limits limits;
  std::function<std::string()> public_url;  // "http://127.0.0.1:8765": the base of presigned URLs; asked when one is made
  std::string signing_secret;               // HMAC key of presigned URLs and of the cursors of retriever executions; at least 32 bytes
  std::string version;
  Internals* internals = nullptr;  // what the handlers of one Api share; set by Api::make
};

// Thread-safe. Everything in Dependencies outlives it.
class Api {
 public:
  // With a catalog alone the key operations below work; with nothing at all, find() and operations() do.
  static std::unique_ptr<Api> make(Dependencies dependencies);
  virtual ~Api() = default;

  // Null: the operation is not built (501).
  virtual const Handler* find(std::string_view operation_id) const = 0;
  // Null: nothing beyond admission is asked before the body.
  virtual const Gate* find_gate(std::string_view operation_id) const = 0;
  virtual std::vector<std::string> operations() const = 0;

  // Who is calling: kUnauthorized (no or unknown key), kForbidden (permission), kBadRequest (X-Namespace missing though needed), kNotFound
  // (unknown namespace). `authorization` and `x_namespace` are the headers' values, maybe empty. Keys are cached for seconds; a revoked key
  // stops at once in this process.
  virtual Result<RequestContext> admit(const Admission& admission, std::string_view authorization, std::string_view x_namespace) = 0;

  // Makes the first organization, user and admin key on an empty catalog. Returns the key's text (`preset` if it has 16 characters or more,
  // else a new one), or nothing when keys exist.
  virtual Result<std::optional<std::string>> bootstrap(std::string_view preset) = 0;
  // Makes a new admin key for the first organization and revokes the others' admin keys of that name: `quarry keys reset`.
  virtual Result<std::string> reset_admin_key() = 0;
  // Another organization with a user and an admin key of its own; returns the key. kAlreadyExists if the name is taken.
  virtual Result<std::string> add_organization(std::string_view name) = 0;
};

}  // namespace quarry::service
