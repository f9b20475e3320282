// A request's way from its head to its reply, without sockets: route, admit, decode, validate, handle, encode.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "http/contract.h"
#include "http/exchange.h"
#include "http/http.h"

namespace quarry::http {

// Thread-safe. No exception leaves it; every path ends in an answer.
class Dispatcher {
 public:
  // `api` outlives it.
  Dispatcher(const Options& options, service::Api& api, std::shared_ptr<const ContractDocument> contract);

  // Never blocks. Afterwards either the exchange is answered, or its operation is known.
  void route(Exchange& exchange) const;
  // What a body of this request may hold at most.
  uint64_t body_limit(const Exchange& exchange) const;
  // May block. Afterwards the exchange has a context, or is answered; the body need not be there yet.
  void admit(Exchange& exchange) const;
  // May block, unless the operation runs inline. Admits first where that was not done. Afterwards the exchange is answered.
  void handle(Exchange& exchange) const;
  // From now on the context of every request says expired(), and requests that still wait are refused.
  void abandon_requests() { abandoned_ = true; }

  static void answer_error(Exchange& exchange, const Error& error);

 private:
  void route_options(Exchange& exchange, std::string_view path) const;
  bool answer_built_in(Exchange& exchange, std::string_view path) const;
  Status admit_caller(Exchange& exchange) const;
  void handle_admitted(Exchange& exchange) const;
  Result<service::Request> decode_head(const Exchange& exchange) const;
  Result<service::Request> decode(Exchange& exchange) const;
  Result<json::value> decode_body(const Exchange& exchange, const OperationSchemas& schemas) const;

  const Options options_;
  service::Api& api_;
  const std::shared_ptr<const ContractDocument> contract_;
  const std::string contract_tag_, docs_tag_;  // ETags
  std::atomic<bool> abandoned_{false};
};

// The caller's X-Request-Id where it is sane (1..128 of letters, digits, "-_.:/"), else a new one.
void set_request_id(Exchange& exchange);

}  // namespace quarry::http
