#include "http/request_parser.h"

#include <boost/beast/http/error.hpp>

namespace quarry::http {
namespace {

namespace beast_http = boost::beast::http;

constexpr uint64_t kReserveAtOnce = 1 << 20;  // a stated length is a claim, not a fact

Method method_of(beast_http::verb verb) {
  switch (verb) {
    case beast_http::verb::get: return Method::kGet;
    case beast_http::verb::head: return Method::kHead;
    case beast_http::verb::post: return Method::kPost;
    case beast_http::verb::put: return Method::kPut;
    case beast_http::verb::patch: return Method::kPatch;
    case beast_http::verb::delete_: return Method::kDelete;
    case beast_http::verb::options: return Method::kOptions;
    default: return Method::kOther;
  }
}

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

RequestParser::RequestParser(Exchange& exchange) : exchange_(exchange) {
  header_limit(kMaxHeadBytes);
  body_limit(boost::none);  // counted here, because the limit depends on the operation
}

std::string_view RequestParser::complaint() const {
  if (exchange_.head.version == 11 && hosts_ != 1) return "an HTTP/1.1 request has exactly one Host header";
  if (foreign_transfer_encoding_ && !chunked()) return "the only known transfer coding is chunked";
  return {};
}

void RequestParser::on_request_impl(Verb verb, Text, Text target, int version, Code&) {
  exchange_.head.method = method_of(verb);
  exchange_.head.version = version;
  exchange_.head.set_target(view(target));
}

void RequestParser::on_field_impl(Field field, Text name, Text value, Code& ec) {
  if (is_header_done()) return;  // trailers: nothing that arrives after admission may look like a header
  if (exchange_.head.header_count() == kMaxHeaders) {
    ec = beast_http::error::header_limit;
    return;
  }
  hosts_ += field == Field::host;
  foreign_transfer_encoding_ |= field == Field::transfer_encoding;
  if (field == Field::expect && boost::beast::iequals(value, "100-continue")) exchange_.head.expects_continue = true;
  exchange_.head.add_header(view(name), view(value));
}

void RequestParser::on_header_impl(Code&) {
  exchange_.head.keep_alive = keep_alive();
  exchange_.head.chunked = chunked();
  if (auto length = content_length()) exchange_.head.content_length = *length;
}

void RequestParser::on_body_init_impl(const boost::optional<uint64_t>& length, Code&) {
  if (length) exchange_.body.reserve(static_cast<size_t>(std::min(*length, kReserveAtOnce)));
}

std::size_t RequestParser::take_body(Text bytes, Code& ec) {
  if (exchange_.body.size() + bytes.size() > body_limit_bytes_) {
    ec = beast_http::error::body_limit;
    return 0;
  }
  exchange_.body.append(bytes.data(), bytes.size());
  return bytes.size();
}

}  // namespace quarry::http
