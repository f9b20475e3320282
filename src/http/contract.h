// api/openapi.json as the server uses it: operations with their admission, parameters and body, and the paths that lead to them.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "http/http.h"
#include "http/method.h"
#include "http/query.h"
#include "http/router.h"
#include "http/schema.h"

namespace quarry::http {

enum class BodyKind : uint8_t { kNone, kJson, kRaw };

// What checks a request of one operation; made at its first request.
struct OperationSchemas {
  std::vector<Parameter> path;  // in the order of the path template
  std::vector<Parameter> query;
  const Schema* body = nullptr;    // JSON bodies
  bool body_takes_object = false;  // an absent body is then {}
};

struct Operation {
  size_t index = 0;
  std::string id;
  Method method = Method::kGet;
  std::string path;
  std::string group;
  std::vector<std::string> path_names;
  service::Admission admission;
  bool runs_inline = false;  // never blocks: may run on the socket's thread
  BodyKind body = BodyKind::kNone;
  const json::object* node = nullptr;
};

class ContractDocument final : public Contract {
 public:
  // Takes a document's text, which must outlive the result. kInternal naming what it lacks.
  static Result<std::shared_ptr<const ContractDocument>> parse(std::string_view text);

  std::string coverage(const service::Api& api) const override;
  std::string_view document() const override { return text_; }

  const std::vector<Operation>& operations() const { return operations_; }
  const Router& router() const { return router_; }
  // Compiled on first use, then kept. Thread-safe.
  Result<const OperationSchemas*> schemas(const Operation& operation) const;

 private:
  explicit ContractDocument(std::string_view text) : text_(text) {}
  Status read();
  Status read_operation(Method method, std::string_view path, const json::object& node);
  Result<OperationSchemas> compile(const Operation& operation) const;
  Result<OperationSchemas> compile_unguarded(const Operation& operation) const;

  struct Lazy {
    std::once_flag once;
    std::optional<Result<OperationSchemas>> made;
  };

  std::string_view text_;
  json::monotonic_resource memory_;
  json::value root_ = json::value(json::storage_ptr(&memory_));
  std::vector<Operation> operations_;
  Router router_;
  mutable std::unique_ptr<SchemaSet> set_;
  mutable std::deque<Lazy> lazy_;
};

}  // namespace quarry::http
