// Any JSON against the request schemas of the contract: an answer in bounded time, a refused value unchanged, an accepted one stable.
#include <cstdint>
#include <cstdlib>

#include "api/embedded.h"
#include "http/contract.h"
#include "http/json_decoder.h"
#include "http/validator.h"

namespace {

using namespace quarry::http;

const std::vector<const Schema*>& body_schemas() {
  static const auto contract = *ContractDocument::parse(quarry::api::openapi_json());
  static const std::vector<const Schema*> schemas = [] {
    std::vector<const Schema*> out;
    for (const Operation& operation : contract->operations())
      if (auto compiled = contract->schemas(operation); compiled.ok() && (*compiled)->body != nullptr) out.push_back((*compiled)->body);
    return out;
  }();
  return schemas;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const Schema& schema = *body_schemas()[(data[0] | data[1] << 8) % body_schemas().size()];
  auto value = decode_json({reinterpret_cast<const char*>(data) + 2, size - 2}, 64);
  if (!value.ok()) return 0;
  const quarry::json::value before = *value;
  if (!validate_value(schema, *value, "body").ok()) {
    if (*value != before) std::abort();
    return 0;
  }
  const quarry::json::value once = *value;
  if (!validate_value(schema, *value, "body").ok() || *value != once) std::abort();
  return 0;
}
