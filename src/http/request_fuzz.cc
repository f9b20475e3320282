// Any bytes as a connection's input: the parser ends each request, and whatever it takes for one is routed and answered.
#include <boost/asio/buffer.hpp>

#include <cstdint>
#include <cstdlib>

#include "api/embedded.h"
#include "http/dispatcher.h"
#include "http/fake_api.h"
#include "http/request_parser.h"

namespace {

using namespace quarry::http;

const Dispatcher& dispatcher() {
  static FakeApi api;
  static const Dispatcher instance(Options{}, api, *ContractDocument::parse(quarry::api::openapi_json()));
  return instance;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Exchange exchange;
  while (size > 0) {
    exchange.clear();
    RequestParser parser(exchange);
    parser.set_body_limit(1 << 16);
    parser.eager(true);
    boost::beast::error_code ec;
    size_t used = parser.put(boost::asio::buffer(data, size), ec);
    if (ec || !parser.is_done()) return 0;
    data += used;
    size -= used;
    set_request_id(exchange);
    dispatcher().route(exchange);
    if (!exchange.answered) dispatcher().handle(exchange);
    if (!exchange.answered) std::abort();
  }
  return 0;
}
